/**
 * Where the playground stands. As an anywidget in a notebook (`render`) the kernel's network answers; on a page of the
 * book (`fillPlaces`) the answers that came with the scene are shown at once, and the exported network takes over when
 * it has loaded.
 */
import { Kernel, pageAssets } from "./engines.js";
import { OWN, Playground } from "./playground.js";

const TRAITS = "change:scale_gates change:channel change:donor change:reveal change:edits";

/**
 * As an anywidget, in a notebook.
 * @param {{model: any, el: HTMLElement}} view
 */
function render({ model, el }) {
  const kernel = new Kernel(model);
  const read = () => ({
    scene: model.get("scene"), gates: model.get("scale_gates"), channel: model.get("channel"),
    donor: model.get("donor"), reveal: model.get("reveal"), edits: model.get("edits"),
  });
  const playground = new Playground(el, kernel.assets(), read(), { kernel, engine: "kernel", address: false });
  Object.assign(el, { playground }); // for the console, and for tests
  kernel.tell = (text) => {
    playground.say(text);
    playground.view.engine.hidden = text !== ""; // it says that the network is live
  };
  playground.listeners.push(({ scene, gates, channel, donor, reveal, edits }) => {
    model.set({ scale_gates: [...gates], channel, donor, reveal, edits: [...edits], ...(scene === OWN ? {} : { scene }) });
    model.save_changes();
  });
  const take = (/** @type {{scene?: string}} */ own) => {
    const now = { ...read(), ...own };
    if (JSON.stringify(playground.state) === JSON.stringify(now)) return;
    playground.visited.set(playground.state.scene, playground.state.edits);
    Object.assign(playground.state, now);
    playground.refresh();
  };
  const chosen = () => take({});
  const changed = () => take(playground.state.scene === OWN ? { scene: OWN } : {}); // the kernel knows nothing of it
  model.on("change:scene", chosen);
  model.on(TRAITS, changed);
  playground.begin().catch((error) => playground.say(`The playground cannot begin: ${error.message}`));
  return () => {
    model.off("change:scene", chosen);
    model.off(TRAITS, changed);
    kernel.close();
  };
}

/** On a page of the book: fill every place that is kept for a playground. The first one has the address. */
function fillPlaces() {
  const base = new URL("./", import.meta.url);
  document.querySelectorAll("[data-dmnet-playground]").forEach((place, i) => {
    const element = /** @type {HTMLElement} */ (place);
    const state = JSON.parse(element.dataset.dmnetPlayground || "{}");
    const still = [...element.childNodes];
    const playground = new Playground(element, pageAssets(base), state, { engine: "browser", address: i === 0 });
    Object.assign(element, { playground }); // for the console, and for tests
    playground.begin().catch((error) => {
      console.warn("playground:", error);
      element.replaceChildren(...still);
      element.classList.add("without-script");
    });
  });
}

if (!import.meta.url.startsWith("blob:") && globalThis.document) fillPlaces();

export default { render };
