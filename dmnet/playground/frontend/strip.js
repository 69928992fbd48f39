/**
 * The strip: a thumbnail of every scene of a world. A click shows it, or lends its filters where that box is ticked. It can
 * also be dragged: onto the picture to be shown, onto filter or prediction to lend its filters.
 *
 * @import { Scene } from "./engines.js"
 * @import { Playground } from "./playground.js"
 * @import { View } from "./view.js"
 */
import { onDrag, rove } from "./drag.js";
import { make, say } from "./elements.js";
import { paintPicture } from "./overlays.js";

const SLACK = 6; // pixels that a click may move

export class Strip {
  /**
   * @param {Playground} playground
   * @param {View} view
   */
  constructor(playground, view) {
    this.playground = playground;
    this.view = view;
    /** @type {Map<string, {button: HTMLButtonElement, canvas: HTMLCanvasElement, mark: HTMLElement}>} by the scene's id */
    this.thumbs = new Map();
    this.world = "";
    this.loading = false;
    this.lends = make("input", { type: "checkbox" });
    this.list = make("div.thumbs", { role: "group", "aria-label": "Pictures to choose from" });
    this.ghost = make("canvas.ghost", { "aria-hidden": "true", hidden: true });
    this.element = make("div.strip", {}, this.list, this.ghost,
      make("label.pick", {}, this.lends, "Instead, a click lends its filters to this picture"));
    rove(this.list, () => [...this.thumbs.values()].map(({ button }) => button), () => 1);
    view.scales.element.before(this.element);
  }

  /** Show which scene is shown, and which one lends its filters. */
  show() {
    const { playground: { ready, failed, state, world, visited } } = this;
    if (this.world !== world.name) this.fill();
    this.element.hidden = world.scenes.length < 2;
    for (const [id, { button, mark }] of this.thumbs) {
      button.ariaCurrent = String(id === state.scene);
      button.classList.toggle("lends", id === state.donor);
      button.classList.toggle("edited", id === state.scene ? state.edits.length > 0 : Boolean(visited.get(id)?.length));
      say(mark, id === state.donor ? "lends" : mark.dataset.kind ?? "");
    }
    if (ready.has(world.name) || failed.has(world.name)) this.load(); // not before: the network comes first
  }

  fill() {
    const { scenes, name } = this.playground.world;
    this.world = name;
    this.thumbs = new Map(scenes.map(({ id, title }) => {
      const [canvas, mark] = [make("canvas", { "aria-hidden": "true" }), make("span.mark-of")];
      const button = make("button.thumb", { type: "button", tabindex: id === this.playground.state.scene ? 0 : -1 },
        canvas, make("span", {}, `${title} `), mark);
      this.takeHold(button, canvas, id);
      return [id, { button, canvas, mark }];
    }));
    if (![...this.thumbs.values()].some(({ button }) => button.tabIndex === 0)) this.thumbs.values().next().value?.button.setAttribute("tabindex", "0");
    this.list.replaceChildren(...[...this.thumbs.values()].map(({ button }) => button));
  }

  /** Paint the thumbnails that are not painted yet, one after the other. */
  async load() {
    if (this.loading) return;
    this.loading = true;
    const missing = () => [...this.thumbs].find(([, { mark }]) => mark.dataset.kind === undefined); // by now those of another world
    for (let next = missing(); next; next = missing()) {
      const [id, { canvas, mark }] = next;
      const scene = await this.playground.scene(id).catch(() => null);
      mark.dataset.kind = scene ? kindOf(scene) : "";
      if (scene) paintPicture(canvas, scene.picture);
      this.show();
    }
    this.loading = false;
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {HTMLCanvasElement} canvas
   * @param {string} id
   */
  takeHold(button, canvas, id) {
    const { view, ghost } = this;
    let dragged = false;
    button.addEventListener("click", () => {
      if (!dragged) this.take(id, this.lends.checked);
      dragged = false;
    });
    onDrag(button, (down) => {
      dragged = false;
      return (right, event) => {
        dragged ||= Math.hypot(right, event.clientY - down.clientY) > SLACK;
        if (!dragged) return;
        if (ghost.hidden) {
          [ghost.width, ghost.height, ghost.hidden] = [canvas.width, canvas.height, false];
          ghost.getContext("2d").drawImage(canvas, 0, 0);
        }
        const box = view.element.getBoundingClientRect();
        [ghost.style.left, ghost.style.top] = [`${event.clientX - box.left}px`, `${event.clientY - box.top}px`];
      };
    });
    button.addEventListener("lostpointercapture", (event) => {
      if (ghost.hidden) return;
      ghost.hidden = true;
      const under = document.elementsFromPoint(event.clientX, event.clientY);
      if (under.includes(view.picture.figure)) this.take(id, false);
      else if (under.includes(view.prediction.figure) || under.includes(view.scales.large.figure)) this.take(id, true);
    });
  }

  /**
   * @param {string} id
   * @param {boolean} lends
   */
  take(id, lends) {
    const { playground } = this;
    if (lends) playground.set({ donor: playground.state.donor === id ? "" : id });
    else playground.choose(id);
  }
}

/**
 * Return what most of a scene's ground is, where that decides: "warm" or "cool".
 * @param {Scene} scene
 */
export function kindOf({ facts, picture, tensors }) {
  const question = facts.questions.find(({ majority }) => majority);
  if (!question) return "";
  return tensors.hidden.data[facts.hidden.indexOf(question.hidden) * picture.height * picture.width] ? "warm" : "cool";
}
