"""The script of a report page: what is said of a mark when it is pointed at, or reached by keys.

Texts go in as text (`textContent`), never as markup. Without the script the page is complete but
for these words.
"""

SCRIPT = """
"use strict";
(() => {
  const rows = JSON.parse(document.getElementById("rows").textContent);
  const tip = document.getElementById("tip");
  const near = 26;
  let chart = null, at = -1;

  const wordsOf = (mark) => {
    const lines = [];
    if (mark.dataset.t) lines.push([mark.dataset.t]);
    if (mark.dataset.i)
      for (const column of rows) lines.push([column[0], column[1][Number(mark.dataset.i)]]);
    return lines;
  };

  const marksOf = (svg) => {
    if (!svg.marks) {
      const every = [...svg.querySelectorAll("[data-i],[data-t]")];
      const place = (mark) => Number(mark.getAttribute("cx"));
      svg.marks = every.sort((a, b) => place(a) - place(b));
    }
    return svg.marks;
  };

  const hide = () => {
    tip.hidden = true;
    if (chart) chart.querySelector(".ring").classList.remove("on");
    chart = null;
    at = -1;
  };

  const show = (svg, i) => {
    if (chart && chart !== svg) hide();
    const mark = marksOf(svg)[i];
    chart = svg;
    at = i;
    const ring = svg.querySelector(".ring");
    ring.setAttribute("cx", mark.getAttribute("cx"));
    ring.setAttribute("cy", mark.getAttribute("cy"));
    ring.classList.add("on");
    tip.replaceChildren(...wordsOf(mark).map((words) => {
      const line = document.createElement("div");
      for (const word of words) {
        const span = document.createElement("span");
        span.dir = "auto";
        span.textContent = word;
        line.append(span);
      }
      return line;
    }));
    tip.hidden = false;
    place();
  };

  const place = () => {
    const box = marksOf(chart)[at].getBoundingClientRect(), own = tip.getBoundingClientRect();
    const x = box.left + box.width / 2, y = box.top + box.height / 2;
    const left = Math.min(Math.max(8, x - own.width / 2), innerWidth - own.width - 8);
    const top = y - own.height - 16 < 4 ? y + 16 : y - own.height - 16;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${top}px`;
  };

  const nearest = (svg, event) => {
    const place = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(svg.getScreenCTM().inverse());
    const scale = svg.getScreenCTM().a;
    let found = -1, least = (near / scale) ** 2;
    marksOf(svg).forEach((mark, i) => {
      const away = (mark.cx.baseVal.value - place.x) ** 2 +
        (mark.cy.baseVal.value - place.y) ** 2;
      if (away < least) [found, least] = [i, away];
    });
    return found;
  };

  for (const svg of document.querySelectorAll("svg.chart")) {
    const point = (event) => {
      const i = nearest(svg, event);
      if (i >= 0) show(svg, i);
      else if (chart === svg) hide();
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    // A finger that is lifted leaves at once; what it pointed at stays until the next tap.
    svg.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") hide();
    });
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const count = marksOf(svg).length, page = Math.max(1, Math.round(count / 20));
      const now = chart === svg ? at : -1;
      const next = {
        ArrowRight: now + 1, ArrowLeft: now < 0 ? count - 1 : now - 1,
        PageDown: now + page, PageUp: now - page, Home: 0, End: count - 1,
      }[event.key];
      if (event.key === "Escape") hide();
      if (next === undefined || !count) return;
      event.preventDefault();
      show(svg, Math.min(Math.max(next, 0), count - 1));
    });
  }
  addEventListener("pointerdown", (event) => {
    if (chart && !chart.contains(event.target)) hide();
  });
  addEventListener("scroll", () => { if (chart) place(); }, {passive: true});
})();
"""
"""Run once, at the end of the page; it asks nothing of any server."""
