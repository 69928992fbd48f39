/**
 * A tour of five steps: each asks for a guess, waits for one change, and reads the answer off the page.
 *
 * @import { State } from "./address.js"
 */
import { make, percent, say } from "./elements.js";

/**
 * @typedef {object} Step
 * @property {string} title
 * @property {string} ask
 * @property {Partial<State>} set the state that the step begins with
 * @property {((state: State) => boolean) | null} done whether the reader has done what was asked
 * @property {(facts: Facts) => string} tell what has happened, in words
 *
 * @typedef {object} Facts what the page shows now
 * @property {Record<string, number>} now mean IoU of each group of classes
 * @property {Record<string, number>} full the same of the full network
 * @property {number} changed share of the pixels that differ from the full network
 */

/**
 * @param {Record<string, number>} some
 */
const listed = (some) => Object.entries(some).map(([name, score]) => `${name} ${percent(score)}`).join(", ");

/** @type {Step[]} */
export const STEPS = [
  {
    title: "Switch off 7 × 7. What do you expect?",
    ask: "A ruby is labelled by the side of the mosaic that it lies on, warm or cool; a jade by its block, light or dark. " +
      "Guess first: which of the two will the network get wrong? Then move the switch 7 × 7.",
    set: { scene: "scale-26", gates: [1, 1, 1, 1], channel: -1, donor: "", edits: [] },
    done: (state) => state.gates[3] === 0,
    tell: ({ now, full }) => `With all scales: ${listed(full)}. Without 7 × 7: ${listed(now)}. ` +
      "A side is wide: only the largest filters average over enough tiles to see it.",
  },
  {
    title: "Now 3 × 3",
    ask: "7 × 7 is on again. What will happen without 3 × 3?",
    set: { scene: "scale-26", gates: [1, 1, 1, 1], channel: -1, donor: "", edits: [] },
    done: (state) => state.gates[1] === 0,
    tell: ({ now, full }) => `With all scales: ${listed(full)}. Without 3 × 3: ${listed(now)}. ` +
      "A block is three tiles wide: larger filters blend it with its neighbours.",
  },
  {
    title: "More is not better",
    ask: "Weights can also be raised. Push the slider of 7 × 7 to 2. Will the rubies gain?",
    set: { scene: "scale-26", gates: [1, 1, 1, 1], channel: -1, donor: "", edits: [] },
    done: (state) => state.gates[3] >= 1.9,
    tell: ({ now, full }) => `With weights of 1: ${listed(full)}. Now: ${listed(now)}. ` +
      "The network was trained with weights of 1, and what follows the filters expects them.",
  },
  {
    title: "Borrowed filters",
    ask: "This is the other world: what a piece of jewellery is called depends on the whole quilt, here a cool one. Lend it " +
      "those of Quilt 6, a warm one: drag it onto the filter, or choose it under “Filters of”. No pixel of the picture changes. What will the network say?",
    set: { scene: "context-13", gates: [1, 1, 1, 1], channel: -1, donor: "", edits: [] },
    done: (state) => state.donor !== "",
    tell: ({ now, full, changed }) => `With its own filters: ${listed(full)}. With borrowed ones: ${listed(now)}; ` +
      `${percent(changed)} of the pixels have changed their label. What the network knows of the whole picture, it keeps in its filters.`,
  },
  {
    title: "On your own",
    ask: "“Change …” this scene: drag a coin, turn a tile, dim the light. Look at single channels, open “Which scale matters " +
      "here?”, or give the network a picture of yours. “Share” makes an address of what you see.",
    set: {},
    done: null,
    tell: () => "",
  },
];

export class Tour {
  /**
   * @param {(state: Partial<State>) => void} set
   * @param {() => void} closed
   */
  constructor(set, closed) {
    this.set = set;
    this.closed = closed;
    this.step = -1;
    this.reached = false;
    this.count = make("span.count");
    this.title = make("h3", { tabindex: -1 });
    this.text = make("p");
    this.outcome = make("p.outcome");
    this.next = make("button.primary", { type: "button", onclick: () => this.go(this.step + 1) }, "Next");
    const skip = make("button", { type: "button", onclick: () => this.close() }, "Skip the tour");
    this.skip = skip;
    this.element = make(
      "section.tour", { hidden: true, "aria-label": "Guided tour" },
      this.count, this.title, this.text, this.outcome, make("div.buttons", {}, this.next, skip),
    );
  }

  get running() {
    return this.step >= 0;
  }

  /** @param {number} step */
  go(step) {
    if (step >= STEPS.length) return this.close();
    const { title, ask, set } = STEPS[(this.step = step)];
    this.reached = false;
    this.element.hidden = false;
    say(this.count, `Step ${step + 1} of ${STEPS.length}`);
    say(this.title, title);
    say(this.text, ask);
    say(this.outcome, "");
    say(this.next, step + 1 < STEPS.length ? "Next" : "Done");
    this.skip.hidden = step + 1 === STEPS.length;
    this.set(set);
    this.title.focus({ preventScroll: true });
  }

  close() {
    this.step = -1;
    this.element.hidden = true;
    this.closed();
  }

  /**
   * Look whether the reader has done what the step asks for, and tell what came of it.
   * @param {State} state
   * @param {Facts} facts
   */
  look(state, facts) {
    if (!this.running) return;
    const { done, tell } = STEPS[this.step];
    this.reached ||= done?.(state) ?? false;
    if (this.reached && done?.(state)) say(this.outcome, tell(facts));
    this.next.classList.toggle("ready", this.reached);
  }
}
