/** On a page of the book: bring a live figure alive when it comes near the screen. Until then it is a still picture. */
const places = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-dmnet-live]")]);

/** @param {HTMLElement} place */
async function enliven(place) {
  try {
    const module = await import(new URL(`live-${place.dataset.dmnetLive}.js`, import.meta.url).href);
    module.default.fill(place);
  } catch (error) {
    console.warn("live figure:", error); // the still picture stays
  }
}

const near = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    enliven(/** @type {HTMLElement} */ (target));
  }
}, { rootMargin: "600px" });
places.forEach((place) => near.observe(place));
// An address that holds the state of a figure leads to it.
const [, name] = location.hash.match(/^#live=(\w+)&/) ?? [];
places.find((place) => place.dataset.dmnetLive === name)?.scrollIntoView({ block: "center" });
