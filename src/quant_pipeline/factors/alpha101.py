"""Alpha101: the 101 formulas of WorldQuant, as expressions.

Z. Kakushadze, "101 Formulaic Alphas", Wilmott 2016(84), arXiv:1601.00991, appendix A. A test evaluates the formulas as
printed there, by other means, and compares. What the paper leaves open is decided as follows; the reasons are in
``docs/concepts/alpha101.md``.

- Windows are floored, as the paper says.
- ``adv{d}`` is the mean of traded value, ``$vwap*$volume``, over ``d`` bars. Where a formula compares ``volume`` with
  ``adv{d}`` or divides one by the other, ``volume`` is traded value too: a number of shares and dollars do not compare.
- ``cap`` is the mean of traded value over 250 bars; there are no shares outstanding in the bars.
- ``indneutralize`` takes the mean of the sector away for every class of the paper; ``$sector`` is a number per sector.
- Prices are adjusted. Before they are compared between instruments, or with a number, they are divided by ``$factor``:
  they count in the dollars of the session, and no result depends on where the adjustment starts.
- ``ts_rank`` is a part between 0 and 1, ``Ts_ArgMax`` counts from the oldest bar, 1, to the newest, ``rank`` is a part
  above 0 up to 1; ties are averaged.
- ``decay_linear`` is Qlib's ``WMA``, which is smaller by the window; it is only ever ranked, but in number 57.
- A comparison with a missing value is false.
"""

from __future__ import annotations

RETURNS = "($close/Ref($close, 1)-1)"
VALUE = "($vwap*$volume)"
SIZE = f"Mean({VALUE}, 250)"

ADV5 = f"Mean({VALUE}, 5)"
ADV10 = f"Mean({VALUE}, 10)"
ADV15 = f"Mean({VALUE}, 15)"
ADV20 = f"Mean({VALUE}, 20)"
ADV30 = f"Mean({VALUE}, 30)"
ADV40 = f"Mean({VALUE}, 40)"
ADV50 = f"Mean({VALUE}, 50)"
ADV60 = f"Mean({VALUE}, 60)"
ADV81 = f"Mean({VALUE}, 81)"
ADV120 = f"Mean({VALUE}, 120)"
ADV150 = f"Mean({VALUE}, 150)"
ADV180 = f"Mean({VALUE}, 180)"

EXPRESSIONS: dict[str, str] = {
    "ALPHA001": (
        f"CSRank(IdxMax(Sign(If({RETURNS}<0, Std({RETURNS}, 20), $close))*Power(Abs(If({RETURNS}<0, Std({RETURNS}, "
        "20), $close)), 2), 5))-0.5"
    ),
    "ALPHA002": "-1*Corr(CSRank(Delta(Log($volume), 2)), CSRank(($close-$open)/$open), 6)",
    "ALPHA003": "-1*Corr(CSRank($open/$factor), CSRank($volume*$factor), 10)",
    "ALPHA004": "-1*Rank(CSRank($low/$factor), 9)",
    "ALPHA005": "CSRank(($open-Sum($vwap, 10)/10)/$factor)*(-1*Abs(CSRank(($close-$vwap)/$factor)))",
    "ALPHA006": "-1*Corr($open, $volume, 10)",
    "ALPHA007": f"If({ADV20}<{VALUE}, -1*Rank(Abs(Delta($close, 7)), 60)*Sign(Delta($close, 7)), -1)",
    "ALPHA008": f"-1*CSRank((Sum($open, 5)*Sum({RETURNS}, 5)-Ref(Sum($open, 5)*Sum({RETURNS}, 5), 10))/$factor)",
    "ALPHA009": (
        "If(0<Min(Delta($close, 1), 5), Delta($close, 1), If(Max(Delta($close, 1), 5)<0, Delta($close, 1), "
        "-1*Delta($close, 1)))/$factor"
    ),
    "ALPHA010": (
        "CSRank(If(0<Min(Delta($close, 1), 4), Delta($close, 1), If(Max(Delta($close, 1), 4)<0, Delta($close, 1), "
        "-1*Delta($close, 1)))/$factor)"
    ),
    "ALPHA011": (
        "(CSRank(Max($vwap-$close, 3)/$factor)+CSRank(Min($vwap-$close, 3)/$factor))*CSRank(Delta($volume, 3)*$factor)"
    ),
    "ALPHA012": "Sign(Delta($volume, 1))*(-1*Delta($close, 1))/$factor",
    "ALPHA013": "-1*CSRank(Cov(CSRank($close/$factor), CSRank($volume*$factor), 5))",
    "ALPHA014": f"-1*CSRank(Delta({RETURNS}, 3))*Corr($open, $volume, 10)",
    "ALPHA015": "-1*Sum(CSRank(Corr(CSRank($high/$factor), CSRank($volume*$factor), 3)), 3)",
    "ALPHA016": "-1*CSRank(Cov(CSRank($high/$factor), CSRank($volume*$factor), 5))",
    "ALPHA017": (
        f"-1*CSRank(Rank($close, 10))*CSRank(Delta(Delta($close, 1), 1)/$factor)*CSRank(Rank({VALUE}/{ADV20}, 5))"
    ),
    "ALPHA018": "-1*CSRank((Std(Abs($close-$open), 5)+($close-$open))/$factor+Corr($close, $open, 10))",
    "ALPHA019": f"-1*Sign($close-Ref($close, 7)+Delta($close, 7))*(1+CSRank(1+Sum({RETURNS}, 250)))",
    "ALPHA020": (
        "-1*CSRank(($open-Ref($high, 1))/$factor)*CSRank(($open-Ref($close, 1))/$factor)*CSRank(($open-Ref($low, "
        "1))/$factor)"
    ),
    "ALPHA021": (
        "If(Sum($close, 8)/8+Std($close, 8)<Sum($close, 2)/2, -1, If(Sum($close, 2)/2<Sum($close, 8)/8-Std($close, "
        f"8), 1, If((1<{VALUE}/{ADV20})|({VALUE}/{ADV20}==1), 1, -1)))"
    ),
    "ALPHA022": "-1*(Delta(Corr($high, $volume, 5), 5)*CSRank(Std($close, 20)/$factor))",
    "ALPHA023": "If(Sum($high, 20)/20<$high, -1*Delta($high, 2), 0)/$factor",
    "ALPHA024": (
        "If((Delta(Sum($close, 100)/100, 100)/Ref($close, 100)<0.05)|(Delta(Sum($close, 100)/100, 100)/Ref($close, "
        "100)==0.05), -1*($close-Min($close, 100)), -1*Delta($close, 3))/$factor"
    ),
    "ALPHA025": f"CSRank(-1*{RETURNS}*{ADV20}*$vwap*($high-$close)/($factor*$factor))",
    "ALPHA026": "-1*Max(Corr(Rank($volume, 5), Rank($high, 5), 5), 3)",
    "ALPHA027": "If(0.5<CSRank(Sum(Corr(CSRank($volume*$factor), CSRank($vwap/$factor), 6), 2)/2), -1, 1)",
    "ALPHA028": f"CSScale(Corr({ADV20}, $low, 5)+($high+$low)/2/$factor-$close/$factor)",
    "ALPHA029": (
        "Min(CSRank(CSRank(CSScale(Log(Sum(Min(CSRank(CSRank(-1*CSRank(Delta($close-1, 5)/$factor))), 2), 1))))), "
        f"5)+Rank(Ref(-1*{RETURNS}, 6), 5)"
    ),
    "ALPHA030": (
        "(1-CSRank(Sign($close-Ref($close, 1))+Sign(Ref($close, 1)-Ref($close, 2))+Sign(Ref($close, 2)-Ref($close, "
        "3))))*Sum($volume, 5)/Sum($volume, 20)"
    ),
    "ALPHA031": (
        "CSRank(CSRank(CSRank(WMA(-1*CSRank(CSRank(Delta($close, 10)/$factor)), 10))))+CSRank(-1*Delta($close, "
        f"3)/$factor)+Sign(CSScale(Corr({ADV20}, $low, 12)))"
    ),
    "ALPHA032": "CSScale((Sum($close, 7)/7-$close)/$factor)+20*CSScale(Corr($vwap, Ref($close, 5), 230))",
    "ALPHA033": "CSRank(-1*(1-$open/$close))",
    "ALPHA034": f"CSRank(1-CSRank(Std({RETURNS}, 2)/Std({RETURNS}, 5))+(1-CSRank(Delta($close, 1)/$factor)))",
    "ALPHA035": f"Rank($volume, 32)*(1-Rank($close+$high-$low, 16))*(1-Rank({RETURNS}, 32))",
    "ALPHA036": (
        "2.21*CSRank(Corr($close-$open, Ref($volume, 1), "
        f"15))+0.7*CSRank(($open-$close)/$factor)+0.73*CSRank(Rank(Ref(-1*{RETURNS}, 6), 5))+CSRank(Abs(Corr($vwap, "
        f"{ADV20}, 6)))+0.6*CSRank((Sum($close, 200)/200-$open)*($close-$open)/($factor*$factor))"
    ),
    "ALPHA037": "CSRank(Corr(Ref($open-$close, 1), $close, 200))+CSRank(($open-$close)/$factor)",
    "ALPHA038": "-1*CSRank(Rank($close, 10))*CSRank($close/$open)",
    "ALPHA039": (
        f"-1*CSRank(Delta($close, 7)*(1-CSRank(WMA({VALUE}/{ADV20}, 9)))/$factor)*(1+CSRank(Sum({RETURNS}, 250)))"
    ),
    "ALPHA040": "-1*CSRank(Std($high, 10)/$factor)*Corr($high, $volume, 10)",
    "ALPHA041": "(Power($high*$low, 0.5)-$vwap)/$factor",
    "ALPHA042": "CSRank(($vwap-$close)/$factor)/CSRank(($vwap+$close)/$factor)",
    "ALPHA043": f"Rank({VALUE}/{ADV20}, 20)*Rank(-1*Delta($close, 7), 8)",
    "ALPHA044": "-1*Corr($high, CSRank($volume*$factor), 5)",
    "ALPHA045": (
        "-1*(CSRank(Sum(Ref($close, 5), 20)/20/$factor)*Corr($close, $volume, 2)*CSRank(Corr(Sum($close, 5), "
        "Sum($close, 20), 2)))"
    ),
    "ALPHA046": (
        "If(0.25<((Ref($close, 20)-Ref($close, 10))/10-(Ref($close, 10)-$close)/10)/$factor, -1, If((Ref($close, "
        "20)-Ref($close, 10))/10-(Ref($close, 10)-$close)/10<0, 1, -1*($close-Ref($close, 1))/$factor))"
    ),
    "ALPHA047": (
        f"CSRank(1/$close*$factor)*{VALUE}/{ADV20}*($high*CSRank(($high-$close)/$factor)/(Sum($high, "
        "5)/5))-CSRank(($vwap-Ref($vwap, 5))/$factor)"
    ),
    "ALPHA048": (
        "CSNeutralize(Corr(Delta($close, 1), Delta(Ref($close, 1), 1), 250)*Delta($close, 1)/$close, "
        "$sector)/Sum(Power(Delta($close, 1)/Ref($close, 1), 2), 250)"
    ),
    "ALPHA049": (
        "If(((Ref($close, 20)-Ref($close, 10))/10-(Ref($close, 10)-$close)/10)/$factor<-0.1, 1, "
        "-1*($close-Ref($close, 1))/$factor)"
    ),
    "ALPHA050": "-1*Max(CSRank(Corr(CSRank($volume*$factor), CSRank($vwap/$factor), 5)), 5)",
    "ALPHA051": (
        "If(((Ref($close, 20)-Ref($close, 10))/10-(Ref($close, 10)-$close)/10)/$factor<-0.05, 1, "
        "-1*($close-Ref($close, 1))/$factor)"
    ),
    "ALPHA052": (
        f"(-1*Min($low, 5)+Ref(Min($low, 5), 5))*CSRank((Sum({RETURNS}, 240)-Sum({RETURNS}, 20))/220)*Rank($volume, "
        "5)/$factor"
    ),
    "ALPHA053": "-1*Delta(($close-$low-($high-$close))/($close-$low), 9)",
    "ALPHA054": "-1*(($low-$close)*Power($open, 5))/(($low-$high)*Power($close, 5))",
    "ALPHA055": "-1*Corr(CSRank(($close-Min($low, 12))/(Max($high, 12)-Min($low, 12))), CSRank($volume*$factor), 6)",
    "ALPHA056": f"-1*(CSRank(Sum({RETURNS}, 10)/Sum(Sum({RETURNS}, 2), 3))*CSRank({RETURNS}*{SIZE}))",
    "ALPHA057": "-1*(($close-$vwap)/(2*WMA(CSRank(IdxMax($close, 30)), 2)))/$factor",
    "ALPHA058": "-1*Rank(WMA(Corr(CSNeutralize($vwap, $sector), $volume, 3), 7), 5)",
    "ALPHA059": "-1*Rank(WMA(Corr(CSNeutralize($vwap*0.728317+$vwap*(1-0.728317), $sector), $volume, 4), 16), 8)",
    "ALPHA060": (
        "-1*(2*CSScale(CSRank(($close-$low-($high-$close))/($high-$low)*$volume"
        "*$factor))-CSScale(CSRank(IdxMax($close, 10))))"
    ),
    "ALPHA061": f"CSRank(($vwap-Min($vwap, 16))/$factor)<CSRank(Corr($vwap, {ADV180}, 17))",
    "ALPHA062": (
        f"(CSRank(Corr($vwap, Sum({ADV20}, 22), 9))<CSRank(CSRank($open/$factor)+CSRank($open/$factor)<CSRank(($high"
        "+$low)/2/$factor)+CSRank($high/$factor)))*-1"
    ),
    "ALPHA063": (
        "(CSRank(WMA(Delta(CSNeutralize($close, $sector), 2), 8))-CSRank(WMA(Corr($vwap*0.318108+$open*(1-0.318108), "
        f"Sum({ADV180}, 37), 13), 12)))*-1"
    ),
    "ALPHA064": (
        f"(CSRank(Corr(Sum($open*0.178404+$low*(1-0.178404), 12), Sum({ADV120}, 12), "
        "16))<CSRank(Delta(($high+$low)/2*0.178404+$vwap*(1-0.178404), 3)/$factor))*-1"
    ),
    "ALPHA065": (
        f"(CSRank(Corr($open*0.00817205+$vwap*(1-0.00817205), Sum({ADV60}, 8), 6))<CSRank(($open-Min($open, "
        "13))/$factor))*-1"
    ),
    "ALPHA066": (
        "(CSRank(WMA(Delta($vwap, 3), 7)/$factor)+Rank(WMA(($low*0.96633+$low*(1-0.96633)-$vwap)/($open-($high+$low)"
        "/2), 11), 6))*-1"
    ),
    "ALPHA067": (
        "Power(CSRank(($high-Min($high, 2))/$factor), CSRank(Corr(CSNeutralize($vwap, $sector), "
        f"CSNeutralize({ADV20}, $sector), 6)))*-1"
    ),
    "ALPHA068": (
        f"(Rank(Corr(CSRank($high/$factor), CSRank({ADV15}), 8), 13)<CSRank(Delta($close*0.518371+$low*(1-0.518371), "
        "1)/$factor))*-1"
    ),
    "ALPHA069": (
        "Power(CSRank(Max(Delta(CSNeutralize($vwap, $sector), 2), 4)), Rank(Corr($close*0.490655+$vwap*(1-0.490655), "
        f"{ADV20}, 4), 9))*-1"
    ),
    "ALPHA070": (
        f"Power(CSRank(Delta($vwap, 1)/$factor), Rank(Corr(CSNeutralize($close, $sector), {ADV50}, 17), 17))*-1"
    ),
    "ALPHA071": (
        f"Greater(Rank(WMA(Corr(Rank($close, 3), Rank({ADV180}, 12), 18), 4), 15), "
        "Rank(WMA(Power(CSRank(($low+$open-($vwap+$vwap))/$factor), 2), 16), 4))"
    ),
    "ALPHA072": (
        f"CSRank(WMA(Corr(($high+$low)/2, {ADV40}, 8), 10))/CSRank(WMA(Corr(Rank($vwap, 3), Rank($volume, 18), 6), 2))"
    ),
    "ALPHA073": (
        "Greater(CSRank(WMA(Delta($vwap, 4), 2)/$factor), Rank(WMA(Delta($open*0.147155+$low*(1-0.147155), "
        "2)/($open*0.147155+$low*(1-0.147155))*-1, 3), 16))*-1"
    ),
    "ALPHA074": (
        f"(CSRank(Corr($close, Sum({ADV30}, 37), 15))<CSRank(Corr(CSRank(($high*0.0261661+$vwap*(1-0.0261661))"
        "/$factor), CSRank($volume*$factor), 11)))*-1"
    ),
    "ALPHA075": f"CSRank(Corr($vwap, $volume, 4))<CSRank(Corr(CSRank($low/$factor), CSRank({ADV50}), 12))",
    "ALPHA076": (
        f"Greater(CSRank(WMA(Delta($vwap, 1), 11)/$factor), Rank(WMA(Rank(Corr(CSNeutralize($low, $sector), {ADV81}, "
        "8), 19), 17), 19))*-1"
    ),
    "ALPHA077": (
        f"Less(CSRank(WMA(($high+$low)/2+$high-($vwap+$high), 20)/$factor), CSRank(WMA(Corr(($high+$low)/2, {ADV40}, "
        "3), 5)))"
    ),
    "ALPHA078": (
        f"Power(CSRank(Corr(Sum($low*0.352233+$vwap*(1-0.352233), 19), Sum({ADV40}, 19), 6)), "
        "CSRank(Corr(CSRank($vwap/$factor), CSRank($volume*$factor), 5)))"
    ),
    "ALPHA079": (
        "CSRank(Delta(CSNeutralize($close*0.60733+$open*(1-0.60733), $sector), 1))<CSRank(Corr(Rank($vwap, 3), "
        f"Rank({ADV150}, 9), 14))"
    ),
    "ALPHA080": (
        "Power(CSRank(Sign(Delta(CSNeutralize($open*0.868128+$high*(1-0.868128), $sector), 4))), Rank(Corr($high, "
        f"{ADV10}, 5), 5))*-1"
    ),
    "ALPHA081": (
        f"(CSRank(Sum(Log(CSRank(Power(CSRank(Corr($vwap, Sum({ADV10}, 49), 8)), 4))), "
        "14))<CSRank(Corr(CSRank($vwap/$factor), CSRank($volume*$factor), 5)))*-1"
    ),
    "ALPHA082": (
        "Less(CSRank(WMA(Delta($open, 1), 14)/$factor), Rank(WMA(Corr(CSNeutralize($volume, $sector), "
        "$open*0.634196+$open*(1-0.634196), 17), 6), 13))*-1"
    ),
    "ALPHA083": (
        "CSRank(Ref(($high-$low)/(Sum($close, 5)/5), 2))*CSRank(CSRank($volume*$factor))/(($high-$low)/(Sum($close, "
        "5)/5)/($vwap-$close))/$factor"
    ),
    "ALPHA084": (
        "Sign(Rank($vwap-Max($vwap, 15), 20))*Power(Abs(Rank($vwap-Max($vwap, 15), 20)), Delta($close, 4)/$factor)"
    ),
    "ALPHA085": (
        f"Power(CSRank(Corr($high*0.876703+$close*(1-0.876703), {ADV30}, 9)), CSRank(Corr(Rank(($high+$low)/2, 3), "
        "Rank($volume, 10), 7)))"
    ),
    "ALPHA086": f"(Rank(Corr($close, Sum({ADV20}, 14), 6), 20)<CSRank(($open+$close-($vwap+$open))/$factor))*-1",
    "ALPHA087": (
        "Greater(CSRank(WMA(Delta($close*0.369701+$vwap*(1-0.369701), 1), 2)/$factor), "
        f"Rank(WMA(Abs(Corr(CSNeutralize({ADV81}, $sector), $close, 13)), 4), 14))*-1"
    ),
    "ALPHA088": (
        "Less(CSRank(WMA(CSRank($open/$factor)+CSRank($low/$factor)-(CSRank($high/$factor)+CSRank($close/$factor)), "
        f"8)), Rank(WMA(Corr(Rank($close, 8), Rank({ADV60}, 20), 8), 6), 2))"
    ),
    "ALPHA089": (
        f"Rank(WMA(Corr($low*0.967285+$low*(1-0.967285), {ADV10}, 6), 5), 3)-Rank(WMA(Delta(CSNeutralize($vwap, "
        "$sector), 3), 10), 15)"
    ),
    "ALPHA090": (
        f"Power(CSRank(($close-Max($close, 4))/$factor), Rank(Corr(CSNeutralize({ADV40}, $sector), $low, 5), 3))*-1"
    ),
    "ALPHA091": (
        f"(Rank(WMA(WMA(Corr(CSNeutralize($close, $sector), $volume, 9), 16), 3), 4)-CSRank(WMA(Corr($vwap, {ADV30}, "
        "4), 2)))*-1"
    ),
    "ALPHA092": (
        "Less(Rank(WMA(($high+$low)/2+$close<$low+$open, 14), 18), Rank(WMA(Corr(CSRank($low/$factor), "
        f"CSRank({ADV30}), 7), 6), 6))"
    ),
    "ALPHA093": (
        f"Rank(WMA(Corr(CSNeutralize($vwap, $sector), {ADV81}, 17), 19), "
        "7)/CSRank(WMA(Delta($close*0.524434+$vwap*(1-0.524434), 2), 16)/$factor)"
    ),
    "ALPHA094": (
        f"Power(CSRank(($vwap-Min($vwap, 11))/$factor), Rank(Corr(Rank($vwap, 19), Rank({ADV60}, 4), 18), 2))*-1"
    ),
    "ALPHA095": (
        f"CSRank(($open-Min($open, 12))/$factor)<Rank(Power(CSRank(Corr(Sum(($high+$low)/2, 19), Sum({ADV40}, 19), "
        "12)), 5), 11)"
    ),
    "ALPHA096": (
        "Greater(Rank(WMA(Corr(CSRank($vwap/$factor), CSRank($volume*$factor), 3), 4), 8), "
        f"Rank(WMA(IdxMax(Corr(Rank($close, 7), Rank({ADV60}, 4), 3), 12), 14), 13))*-1"
    ),
    "ALPHA097": (
        "(CSRank(WMA(Delta(CSNeutralize($low*0.721001+$vwap*(1-0.721001), $sector), 3), "
        f"20))-Rank(WMA(Rank(Corr(Rank($low, 7), Rank({ADV60}, 17), 4), 18), 15), 6))*-1"
    ),
    "ALPHA098": (
        f"CSRank(WMA(Corr($vwap, Sum({ADV5}, 26), 4), 7))-CSRank(WMA(Rank(IdxMin(Corr(CSRank($open/$factor), "
        f"CSRank({ADV15}), 20), 8), 6), 8))"
    ),
    "ALPHA099": f"(CSRank(Corr(Sum(($high+$low)/2, 19), Sum({ADV60}, 19), 8))<CSRank(Corr($low, $volume, 6)))*-1",
    "ALPHA100": (
        "-1*((1.5*CSScale(CSNeutralize(CSNeutralize(CSRank(($close-$low-($high-$close))/($high-$low)*$volume"
        f"*$factor), $sector), $sector))-CSScale(CSNeutralize(Corr($close, CSRank({ADV20}), 5)-CSRank(IdxMin($close, "
        f"30)), $sector)))*({VALUE}/{ADV20}))"
    ),
    "ALPHA101": "($close-$open)/(($high-$low)/$factor+0.001)/$factor",
}
