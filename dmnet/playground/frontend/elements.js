/** Making elements. */

/**
 * Return a new element.
 * @param {string} tag with classes: "button.quiet"
 * @param {Record<string, any>} properties attributes; `on...` are listeners, true and false set and leave out
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function make(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, String(value));
  }
  element.append(...children);
  return element;
}

/**
 * @param {string} text
 * @param {() => void} act
 * @param {string} title
 */
export const makeButton = (text, act, title) => make("button", { type: "button", onclick: act, title }, text);

/**
 * Set what an element says, if it is not what it says already.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Return what puts an act off until the reader pauses: only the last of several is done.
 * @param {number} wait in milliseconds
 * @returns {(act: () => void) => void}
 */
export function paused(wait) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return (act) => {
    clearTimeout(timer);
    timer = setTimeout(act, wait);
  };
}

/**
 * A number in 0..1 as per cent.
 * @param {number} share
 */
export function percent(share) {
  return Number.isFinite(share) ? `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)} %` : "–";
}

/**
 * A number in at most so many places behind the point, with a true minus.
 * @param {number} value
 */
export const number = (value, places = 2) => String(Number(value.toFixed(places))).replace("-", "−");

/**
 * The number nearest to a value that is within limits.
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export const within = (value, low, high) => Math.max(low, Math.min(value, high));
