// On every page: boxes that hold more than they show say so and are reached by the keyboard; on paper nothing is
// folded away, and all is in light colours. Without this script a box still scrolls and a fold still opens.
"use strict";

(() => {
  const BOXES = ".bd-content :is(.table-box > div, .highlight pre, .output pre, div.math)";

  /** @param {Element} box the part of a frame that scrolls sideways */
  const mark = (box) => {
    const hidden = box.scrollWidth - box.clientWidth;
    const frame = box.closest(".table-box, .highlight") ?? box;
    frame.classList.toggle("more", hidden - box.scrollLeft > 2);
    if (hidden > 2) {
      box.setAttribute("tabindex", "0");
      box.setAttribute("role", "region");
      if (!box.getAttribute("aria-label")) box.setAttribute("aria-label", nameOf(box));
    } else {
      box.removeAttribute("tabindex");
      box.removeAttribute("role");
    }
  };

  /** @param {Element} box */
  const nameOf = (box) => {
    if (box.matches(".math")) return "Formula";
    return box.closest(".cell_output") ? "Output" : "Code";
  };

  const start = () => {
    const observer = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target)));
    for (const box of document.querySelectorAll(BOXES)) {
      observer.observe(box); // also when a fold opens
      box.addEventListener("scroll", () => mark(box), { passive: true });
    }
  };

  /** @type {HTMLDetailsElement[]} */
  let opened = [];
  /** @type {string | undefined} */
  let theme;

  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details")].filter((fold) => !fold.open);
    opened.forEach((fold) => fold.setAttribute("open", ""));
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
  });
  window.addEventListener("afterprint", () => {
    opened.forEach((fold) => fold.removeAttribute("open"));
    if (theme) document.documentElement.dataset.theme = theme;
  });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
