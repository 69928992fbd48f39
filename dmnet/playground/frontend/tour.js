/**
 * A tour of five steps: each asks for a guess, points at a control, waits for one change, and reads the answer off the page.
 * A guess stays in this browser, beside those of the book's "Predict" boxes.
 *
 * @import { State } from "./address.js"
 * @import { Facts } from "./steps.js"
 * @import { View } from "./view.js"
 */
import { make, makeButton, say } from "./elements.js";
import { STEPS } from "./steps.js";

const STORE = "dmnet-guesses"; // where book/assets/guesses.js keeps the others

/** @returns {Record<string, string>} */
function readGuesses() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "{}") ?? {};
  } catch {
    return {}; // storage is forbidden, or somebody else's
  }
}

/**
 * Keep a guess; return whether this browser does so.
 * @param {string} question
 * @param {string} guess
 */
function keepGuess(question, guess) {
  try {
    localStorage.setItem(STORE, JSON.stringify({ ...readGuesses(), [question]: guess }));
    return true;
  } catch {
    return false;
  }
}

export class Tour {
  /**
   * @param {(state: Partial<State>) => void} set
   * @param {() => View} view what it points at
   * @param {() => void} closed
   */
  constructor(set, view, closed) {
    this.set = set;
    this.view = view;
    this.closed = closed;
    this.step = -1;
    this.reached = false;
    this.told = false; // after that a guess is none
    this.guess = "";
    /** @type {HTMLElement | null} the control that it points at */
    this.target = null;
    this.count = make("span.count");
    this.title = make("p.question", { tabindex: -1 }); // no heading: of which level it would be, depends on the page
    this.text = make("p.asked");
    this.guesses = make("div.guesses", { role: "group", "aria-label": "Your guess" });
    this.offers = make("span.offers");
    this.todo = make("p.todo", { role: "status" });
    this.outcome = make("p.outcome", { role: "status" });
    this.showing = makeButton("Show me", () => this.showMe(), "The playground does it itself");
    this.back = makeButton("Back", () => this.go(this.step - 1), "The step before");
    this.next = makeButton("Next", () => this.go(this.step + 1), "The next step");
    this.skip = makeButton("Skip", () => this.close(), "Leave the tour");
    this.next.classList.add("primary");
    this.element = make(
      "section.tour", { hidden: true, "aria-label": "Guided tour" },
      this.count, this.title, this.text, this.guesses, this.todo, this.outcome,
      make("div.buttons", {}, this.offers, this.showing, this.back, this.next, this.skip),
    );
    this.element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Escape") return;
      this.close();
      event.stopPropagation();
    });
  }

  get running() {
    return this.step >= 0;
  }

  /** What a guess of this step is kept under. */
  get question() {
    return `tour: ${STEPS[this.step].title}`;
  }

  /** @param {number} step */
  go(step) {
    if (step >= STEPS.length) return this.close();
    this.leave();
    const { title, ask, guesses, offers, set } = STEPS[(this.step = step)];
    const last = step + 1 === STEPS.length;
    [this.reached, this.told] = [false, false];
    this.element.hidden = this.next.hidden = false;
    this.view().arrange();
    [this.skip.textContent, this.skip.ariaLabel] = ["Skip", "Skip the tour"];
    say(this.count, `Step ${step + 1} of ${STEPS.length}`);
    say(this.title, title);
    say(this.text, ask);
    [this.todo, this.outcome].forEach((one) => say(one, ""));
    say(this.next, last ? "Done" : "Next");
    this.next.classList.toggle("ready", last);
    this.text.hidden = false;
    this.element.classList.remove("pointing");
    [this.skip.hidden, this.showing.hidden, this.guesses.hidden, this.back.hidden] = [last, last, last, step === 0];
    this.offers.replaceChildren(...(offers?.(this.view()) ?? []).map((one) => makeButton(one.textContent, () => { this.close(); one.click(); }, one.title)));
    this.guesses.replaceChildren(...Object.entries(guesses).map(([outcome, text]) =>
      make("button", { type: "button", "data-outcome": outcome, onclick: () => this.take(outcome) }, text)));
    const kept = readGuesses()[this.question];
    this.guess = Object.keys(guesses).find((outcome) => guesses[outcome] === kept) ?? "";
    this.showGuess();
    this.set(set);
    this.title.focus({ preventScroll: true });
    bring(this.view().field); // the page may be somewhere else
    if (this.guess) this.point("You have guessed before. ");
  }

  /** End it, and take back the filters that a step has lent. */
  close() {
    const lent = this.running && Boolean(STEPS[this.step].show?.donor);
    this.leave();
    this.step = -1;
    this.element.hidden = true;
    this.view().arrange();
    if (lent) this.set({ donor: "" });
    this.closed();
  }

  /**
   * End it where another scene than the step's has been chosen, and say so.
   * @param {State} state
   */
  heed(state) {
    const wanted = STEPS[this.step]?.set.scene;
    if (!wanted || state.scene === wanted) return;
    this.leave();
    this.step = -1;
    [this.count, this.text, this.todo, this.outcome].forEach((one) => say(one, ""));
    say(this.title, "The tour has ended: this is another scene.");
    [this.showing, this.guesses, this.back, this.next].forEach((one) => { one.hidden = true; });
    [this.skip.hidden, this.skip.textContent, this.skip.ariaLabel] = [false, "Close", "Close the tour"];
  }

  /** Where the reader comes back to, from a control. */
  focus() {
    (this.reached ? this.next : this.title).focus();
  }

  /**
   * The reader guesses; once the outcome is told nothing can be guessed any more.
   * @param {string} outcome
   */
  take(outcome) {
    if (this.told) return;
    this.guess = outcome;
    this.showGuess();
    this.point(keepGuess(this.question, STEPS[this.step].guesses[outcome]) ? "Noted. " : "");
  }

  showGuess() {
    for (const button of this.guesses.children) {
      button.ariaPressed = String(button.dataset.outcome === this.guess);
      button.ariaDisabled = String(this.told);
    }
  }

  showMe() {
    this.point("Shown: watch the prediction. ");
    this.told = true;
    this.showGuess();
    this.set({ ...STEPS[this.step].set, ...STEPS[this.step].show });
  }

  /**
   * Point at the control, and say what to do with it.
   * @param {string} before what is said first
   */
  point(before) {
    const { control, todo } = STEPS[this.step];
    if (!control || this.reached) return;
    this.leave();
    this.target = control(this.view());
    this.target.classList.add("here");
    this.element.classList.add("pointing");
    say(this.todo, `${before}${todo}`);
    bring(this.target);
  }

  /** Bring the prediction into sight, once the control is let go: the outcome can be seen there. */
  bring() {
    const { prediction } = this.view();
    const held = this.target?.querySelector("input:active");
    if (held) held.addEventListener("change", () => bring(prediction.figure), { once: true });
    else bring(prediction.figure);
  }

  /** Point at nothing any more. */
  leave() {
    this.target?.classList.remove("here");
    this.target = null;
  }

  /**
   * Look whether the reader has done what the step asks for, and tell what came of it.
   * @param {State} state
   * @param {Facts} facts
   */
  look(state, facts) {
    const { set: { scene }, done, outcome, tell, because, guesses } = STEPS[this.step];
    if (state.scene !== scene || !done(state) || !outcome || !tell) return;
    const found = outcome(facts);
    const held = !this.guess ? "" : this.guess === found ? `As you guessed: “${guesses[found]}”. ` : `Not this time: you guessed “${guesses[this.guess]}”, it is “${guesses[found]}”. `;
    const words = `${tell(facts)} ${because?.[found] ?? ""}`.trim();
    if (!this.reached) this.bring();
    [this.reached, this.told] = [true, true];
    this.leave();
    this.showGuess();
    say(this.todo, "");
    const pressed = document.activeElement === this.showing;
    [this.text.hidden, this.showing.hidden] = [true, true];
    if (pressed) this.next.focus({ preventScroll: true }); // that button is gone
    if (this.outcome.textContent !== held + words) this.outcome.replaceChildren(make("b", {}, held), words);
    this.next.classList.add("ready");
  }
}

/**
 * Bring something into sight, unless it can be seen whole and lies under nothing that stays in place while the page is scrolled.
 * @param {HTMLElement} element
 */
export function bring(element) {
  const { left, top, bottom, width } = element.getBoundingClientRect();
  const free = [top + 2, bottom - 2].every((y) => element.contains(document.elementFromPoint(left + width / 2, y)));
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!free) element.scrollIntoView({ block: "end", behavior: still ? "auto" : "smooth" });
}
