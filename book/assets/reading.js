// On every page: boxes that hold more than they show say so and are reached by the keyboard; on paper nothing is
// folded away, and all is in light colours. Without this script a box still scrolls and a fold still opens.
"use strict";

(() => {
  const BOXES = ".bd-content :is(.table-box > div, .highlight > pre, .drawing-box)";

  /** @param {Element} box */
  const nameOf = (box) => {
    if (box.matches(".drawing-box")) return "Figure";
    return box.closest(".cell_output") ? "Output" : "Code";
  };

  /** @param {HTMLElement} box the part of a frame that scrolls sideways */
  const mark = (box) => {
    const hidden = box.scrollWidth - box.clientWidth;
    const frame = box.parentElement;
    frame?.classList.toggle("more", hidden - box.scrollLeft > 2);
    if (hidden > 2) {
      box.setAttribute("tabindex", "0");
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", box.dataset.name ?? "");
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  };

  // The contents at the right light what is read. The theme's script does so as a heading passes the upper third
  // of the window: after a jump, or upwards, another section stays lit.
  const follow = () => {
    /** @type {NodeListOf<HTMLAnchorElement>} */
    const links = document.querySelectorAll("#pst-page-toc-nav a");
    const heads = [...links].map((link) => document.getElementById(link.hash.slice(1))?.querySelector("h2, h3"));
    const light = () => {
      const end = scrollY + innerHeight > document.documentElement.scrollHeight - 2;
      const line = end ? innerHeight : 0.3 * innerHeight;
      const above = heads.map((head) => Boolean(head && head.getBoundingClientRect().top < line));
      const now = links[above.lastIndexOf(true)];
      links.forEach((link) => {
        link.classList.toggle("active", link === now);
        if (link === now) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      });
      for (const entry of document.querySelectorAll("#pst-page-toc-nav .toc-entry")) {
        entry.classList.toggle("active", now !== undefined && entry.contains(now));
      }
    };
    let next = 0;
    const soon = () => {
      cancelAnimationFrame(next);
      next = requestAnimationFrame(light);
    };
    window.addEventListener("scroll", soon, { passive: true });
    window.addEventListener("load", soon);
  };

  // After a formula, or a name in code on a telephone, a browser may break the line even before a full stop.
  const glue = () => {
    for (const found of document.querySelectorAll(".bd-content :is(span.math, code.literal)")) {
      const box = found.closest("a") ?? found;
      const [before, after] = [box.previousSibling, box.nextSibling];
      const opening = before instanceof Text ? (/[([“]+$/.exec(before.data)?.[0].length ?? 0) : 0;
      const closing = after instanceof Text ? (/^[.,;:?!)\]”]+/.exec(after.data)?.[0].length ?? 0) : 0;
      if (!opening && !closing) continue;
      const range = document.createRange();
      if (before instanceof Text && opening) range.setStart(before, before.length - opening);
      else range.setStartBefore(box);
      if (after instanceof Text && closing) range.setEnd(after, closing);
      else range.setEndAfter(box);
      const together = document.createElement("span");
      together.className = "glued";
      range.surroundContents(together);
    }
  };

  const start = () => {
    follow();
    glue();
    // The theme gives these two buttons a name that differs from the words on them.
    document.querySelectorAll(".search-button-field").forEach((one) => one.removeAttribute("aria-label"));
    /** @type {NodeListOf<HTMLElement>} */
    const boxes = document.querySelectorAll(BOXES);
    const observer = new ResizeObserver((entries) => {
      // In the next frame: the words "scroll →" make a figure's box higher, which an observer may not do.
      requestAnimationFrame(() => entries.forEach(({ target }) => mark(/** @type {HTMLElement} */ (target))));
    });
    for (const box of boxes) {
      box.dataset.name = box.getAttribute("aria-label") ?? nameOf(box);
      observer.observe(box); // also when a fold opens
      box.addEventListener("scroll", () => mark(box), { passive: true });
    }
    for (const fold of document.querySelectorAll(".bd-sidebar-primary details > summary")) {
      const name = fold.closest("li")?.querySelector("a")?.textContent;
      fold.setAttribute("aria-label", `Pages below ${name}`); // the theme shows an arrow alone
    }
    window.addEventListener("load", () => {
      boxes.forEach(mark); // in the page's own fonts
      document.querySelectorAll(".theme-switch-button svg").forEach((icon) => {
        icon.querySelector("title")?.remove();
        icon.setAttribute("aria-hidden", "true");
      });
    });
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
