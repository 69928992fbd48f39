/** Drawings. */

/**
 * A part of a drawing (SVG), or change one that is there.
 * @param {string | SVGElement} part a tag, or the part
 * @param {Record<string, any>} attributes
 * @param {...(Node | string)} children
 */
export function draw(part, attributes, ...children) {
  const element = typeof part === "string" ? document.createElementNS("http://www.w3.org/2000/svg", part) : part;
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, String(value)));
  element.append(...children);
  return element;
}
