"use strict";
(() => {
  const root = document.documentElement;
  const find = (id) => document.getElementById(id);

  // Light and dark; the choice is kept in this browser.
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = localStorage.getItem("theme");
  if (chosen) root.dataset.theme = chosen;
  const isDark = () => (root.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";
  const button = find("theme");
  const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    name();
  });
  systemDark.addEventListener("change", name);
  name();

  // What is behind a pane's new markup was escaped by the service; scripts in it would not run.
  const replace = (pane, html) => {
    const opened = [...pane.querySelectorAll("details")].map((each) => each.open);
    const scrolled = [...pane.querySelectorAll(".scroll, .printed")].map((each) => [each.scrollLeft, each.scrollTop]);
    const focusable = () => [...pane.querySelectorAll("a, button, input, select, summary, .scroll")];
    const focused = focusable().indexOf(document.activeElement);
    pane.innerHTML = html;
    pane.querySelectorAll("details").forEach((each, at) => { each.open = opened[at] ?? each.open; });
    pane.querySelectorAll(".scroll, .printed").forEach((each, at) => { [each.scrollLeft, each.scrollTop] = scrolled[at] ?? [0, 0]; });
    if (focused >= 0) focusable()[focused]?.focus({ preventScroll: true });
  };
  // A form that is being filled in is not taken away.
  const isWrittenIn = (pane) => pane.contains(document.activeElement) && /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);

  // The service says every second that it lives; the clock of this browser only measures how long it has not.
  const PATIENCE = 3000;
  const live = document.body.dataset.live;
  let heard = performance.now();
  let heardAt = find("pulse").textContent.replace("as of ", "");
  let source = null;
  const waiting = new Map();
  const listen = () => {
    source = new EventSource(live);
    source.addEventListener("pane", (event) => {
      const { name, html } = JSON.parse(event.data);
      const pane = find(`pane-${name}`);
      if (isWrittenIn(pane)) waiting.set(pane, html);
      else replace(pane, html);
    });
    source.addEventListener("beat", (event) => {
      heard = performance.now();
      heardAt = JSON.parse(event.data).at;
      find("pulse").textContent = `as of ${heardAt}`;
      show();
    });
    source.addEventListener("error", () => {
      const closed = source;
      if (closed.readyState !== EventSource.CLOSED || document.hidden) return;
      setTimeout(() => { if (source === closed) listen(); }, 1000);
    });
  };
  const show = () => {
    const isStale = performance.now() - heard > PATIENCE;
    const banner = find("stale");
    if (isStale === !banner.hidden) return;
    root.classList.toggle("stale", isStale);
    banner.textContent = isStale ? `No answer from the service since ${heardAt}. Everything below is as of then.` : "";
    banner.hidden = !isStale;
  };
  if (live) {
    listen();
    setInterval(show, 500);
    // Browsers give one service six connections: pages that are hidden give theirs back, so that a halt never waits.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) source.close();
      else { show(); if (source.readyState === EventSource.CLOSED) listen(); }
    });
    document.addEventListener("focusout", () => setTimeout(() => {
      for (const [pane, html] of waiting) if (!isWrittenIn(pane)) { replace(pane, html); waiting.delete(pane); }
    }));
  }

  // Halting stays on the page, so that the state is seen to change.
  const halt = find("halt");
  halt?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const pressed = halt.querySelector("button");
    pressed.disabled = true;
    find("outcome").textContent = "Halting …";
    try {
      // A session that is over leads to another page, which is no outcome.
      const answer = await fetch(halt.action, {
        method: "POST",
        body: new URLSearchParams(new FormData(halt)),
        headers: { "X-Part": "outcome" },
        redirect: "manual",
        // The service waits two minutes for a broker that does not answer.
        signal: AbortSignal.timeout(150_000),
      });
      if (answer.ok) replace(find("outcome"), await answer.text());
      else find("outcome").textContent = answer.type === "opaqueredirect"
        ? "Not halted: this page asks for its token again. Load it, or halt at the terminal with kedro account halt."
        : `Not halted: the service answered ${answer.status}. Load this page again, or halt at the terminal with kedro account halt.`;
    } catch {
      find("outcome").textContent = "The service does not answer: halt at the terminal with kedro account halt.";
    } finally {
      pressed.disabled = false;
    }
  });

  // The lines of one job, as it prints them, behind those that the service has drawn; the oldest make room.
  const KEPT = 5000;
  const printed = find("printed");
  // State and result are drawn by the service. Loading the page again would cancel a halt that is sent, or a link that is followed.
  const showEnd = async () => {
    const answer = await fetch(location.href, { redirect: "error" });
    if (!answer.ok) throw new Error(`the service answered ${answer.status}`);
    const drawn = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("printed");
    const parts = [...drawn.parentElement.childNodes];
    const pane = printed.parentElement;
    const focused = document.activeElement;
    // What was printed stays as it is: the operator may be reading further up, and have marked some of it.
    for (const each of [...pane.childNodes]) if (each !== printed) each.remove();
    printed.before(...parts.slice(0, parts.indexOf(drawn)));
    printed.after(...parts.slice(parts.indexOf(drawn) + 1));
    if (focused.isConnected) return;
    const same = [...pane.querySelectorAll(focused.tagName)].find((each) => each.id === focused.id && each.textContent === focused.textContent);
    (same ?? printed).focus({ preventScroll: true });
  };
  const sayEnd = () => {
    const told = document.createElement("p");
    told.setAttribute("role", "status");
    told.textContent = "The job has ended: load this page again.";
    find("pane-job").append(told);
  };
  if (printed) printed.scrollTop = printed.scrollHeight;
  if (printed?.dataset.events) {
    const lines = new EventSource(printed.dataset.events);
    lines.addEventListener("line", (event) => {
      const isAtEnd = printed.scrollTop + printed.clientHeight > printed.scrollHeight - 40;
      printed.append(`${JSON.parse(event.data).line}\n`);
      while (printed.childNodes.length > KEPT) printed.firstChild.remove();
      if (isAtEnd) printed.scrollTop = printed.scrollHeight;
    });
    lines.addEventListener("end", () => {
      lines.close();
      if ("open" in printed.dataset) showEnd().catch(sayEnd);
    });
  }
})();
