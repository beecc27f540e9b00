"use strict";
(() => {
  const root = document.documentElement;
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const twins = JSON.parse(document.getElementById("dark-twins").textContent);
  const isDark = () => (root.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";
  const figures = [...document.querySelectorAll("figure")].map((figure) => ({
    element: figure,
    plot: figure.querySelector(".plot"),
    json: figure.querySelector("script").textContent,
    scale: null,
  }));

  // The library travels packed, a third of its size; the browser unpacks it without a network.
  const unpack = async () => {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };

  const draw = (figure) => {
    let json = figure.json;
    if (isDark()) for (const [light, dark] of Object.entries(twins)) json = json.replaceAll(light, dark);
    const { data, layout } = JSON.parse(json);
    if (figure.scale) layout.yaxis.type = figure.scale;
    figure.plot.style.minHeight = "";
    // Its buttons would lie on the legend: on a narrow page always, elsewhere unless they are asked for.
    const isNarrow = matchMedia("(max-width: 640px)").matches;
    const modeBar = { displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
    return Plotly.react(figure.plot, data, layout, { responsive: true, displayModeBar: isNarrow ? false : "hover", ...modeBar });
  };

  const redraw = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    if (window.Plotly) figures.forEach(draw);
  };

  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    redraw();
  });
  systemDark.addEventListener("change", redraw);

  for (const figure of figures) {
    const choices = [...figure.element.querySelectorAll("button[data-scale]")];
    for (const choice of choices) {
      choice.addEventListener("click", () => {
        figure.scale = choice.dataset.scale;
        for (const other of choices) other.setAttribute("aria-pressed", String(other === choice));
        draw(figure);
      });
    }
  }

  redraw();
  unpack()
    .then(() => Promise.all(figures.map(draw)))
    .then(() => { root.dataset.drawn = "yes"; })
    .catch((error) => {
      for (const { plot } of figures) {
        plot.innerHTML = '<p class="failed">This browser could not draw the figure: it needs to be from 2023 or later.</p>';
      }
      throw error;
    });
})();
