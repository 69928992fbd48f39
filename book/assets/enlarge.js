// A figure opens large: by a click, or with Enter on its button. Esc, the cross or a click beside it close it again.
"use strict";

(() => {
  const PICTURES = "svg.drawing, .cell_output img, figure img";
  const ALIVE = ".dmnet-app, [data-dmnet-live], [data-dmnet-playground], noscript"; // these have ways of their own

  /**
   * Copy an element, without an id that is there already.
   * @param {Element} element
   * @returns {Element}
   */
  const copy = (element) => {
    const holder = document.createElement("div");
    holder.innerHTML = element.outerHTML.replaceAll(/\b(id="|href="#|url\(#)figure-/g, "$1large-");
    for (const one of holder.querySelectorAll('[id]:not([id^="large-"])')) one.removeAttribute("id");
    for (const one of holder.querySelectorAll(".headerlink")) one.remove();
    return /** @type {Element} */ (holder.firstElementChild);
  };

  /**
   * Make a button.
   * @param {string} kind its class
   * @param {string} label
   */
  const makeButton = (kind, label) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: kind, title: label });
    button.setAttribute("aria-label", label);
    return button;
  };

  /**
   * Show a picture as large as the window allows, on a narrow one larger, in a box that scrolls.
   * @param {Element} picture
   * @param {string} name
   * @param {HTMLElement} button gets the focus back
   */
  const enlarge = (picture, name, button) => {
    const dialog = document.createElement("dialog");
    dialog.className = "enlarged";
    dialog.setAttribute("aria-label", name);
    const sheet = document.createElement("div");
    sheet.className = "sheet";
    sheet.tabIndex = 0;
    sheet.append(copy(picture));
    const cross = makeButton("close", "Close");
    dialog.append(cross, sheet);
    const caption = picture.closest("figure")?.querySelector("figcaption");
    if (caption) dialog.append(copy(caption));
    cross.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      button.focus({ preventScroll: true });
    });
    document.body.append(dialog);
    dialog.showModal();
  };

  /** @param {Element} picture */
  const prepare = (picture) => {
    const number = picture.closest("figure")?.querySelector("figcaption .caption-number")?.textContent?.trim();
    const name = number ?? "Figure";
    const box = document.createElement("div");
    const button = makeButton("enlarge", `${name}, large`);
    const outer = picture.closest("a.image-reference") ?? picture; // the link leads to the file: no larger
    box.className = "enlargeable";
    outer.replaceWith(box);
    box.append(picture, button);
    for (const one of [picture, button]) one.addEventListener("click", () => enlarge(picture, name, button));
  };

  document.addEventListener("DOMContentLoaded", () => {
    const pictures = document.querySelectorAll(PICTURES);
    for (const picture of pictures) if (picture.closest(".bd-article") && !picture.closest(ALIVE)) prepare(picture);
  });
})();
