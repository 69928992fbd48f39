// The choices of a "Predict" box become buttons, a range of numbers a slider. What the reader guessed is kept in this
// browser. When the answer is opened the box says whether the guess was right, and marks the right choice; the page stays where it is, and the guess is
// fixed. An answer that was open beside a guess is open again when the reader comes back. Without this script the box has a list, and the answer its number.
"use strict";

(() => {
  const KEPT = "dmnet-guesses";
  const SEEN = " (answered)"; // behind a question that is kept: its answer is open
  const RANGE = /^From (\d+) to (\d+)(.*)\.$/;

  /** @returns {Record<string, string>} */
  const read = () => {
    try {
      return JSON.parse(localStorage.getItem(KEPT) ?? "{}") ?? {};
    } catch {
      return {}; // storage is forbidden, or somebody else's
    }
  };

  /** @param {string} question @param {string} guess or "" to forget it @returns {boolean} whether it is kept */
  const keep = (question, guess) => {
    const all = read();
    delete all[question];
    if (guess) all[question] = guess;
    try {
      localStorage.setItem(KEPT, JSON.stringify(all));
      return true;
    } catch {
      return false;
    }
  };

  /** @param {string} tag @param {Record<string, string>} attributes @param {(Node | string)[]} inside */
  const make = (tag, attributes, ...inside) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  };

  /** @param {Element} one */
  const textOf = (one) => (one.textContent ?? "").trim().replace(/\s+/g, " ");

  /**
   * @typedef {object} Field what the reader answers with
   * @property {HTMLElement} element
   * @property {(guess: string) => boolean} show shows a guess; false where there is none of this name
   * @property {(text: string) => string} answer what the answer that calls itself `text` is in full
   * @property {(guess: string, text: string) => string} judge says in a few words whether a guess is right
   * @property {(answer: string) => void} mark marks the right guess; "" marks none
   * @property {(guess: string, text: string) => HTMLElement[]} drawn guess and answer in a picture
   * @property {(shut: boolean) => void} lock whether a guess can be made
   */

  /**
   * Make the items of a list buttons.
   * @param {Element} list
   * @param {(guess: string) => void} guessed
   * @returns {Field}
   */
  const makeChoices = (list, guessed) => {
    const texts = [...list.children].map(textOf);
    const buttons = [...list.children].map((item, place) => {
      const inside = [...(item.querySelector("p") ?? item).childNodes];
      const button = make("button", { type: "button", "aria-pressed": "false" }, make("span", {}, ...inside));
      button.addEventListener("click", () => guessed(button.getAttribute("aria-pressed") === "true" ? "" : texts[place]));
      item.replaceChildren(button);
      return button;
    });
    const element = make("div", { class: "guess", role: "group", "aria-label": "Your guess" });
    list.replaceWith(element);
    element.append(list);
    return {
      element,
      show: (guess) => {
        buttons.forEach((button, place) => button.setAttribute("aria-pressed", `${texts[place] === guess}`));
        return texts.includes(guess);
      },
      answer: (text) => texts[parseInt(text) - 1],
      judge: (guess, text) => (guess === texts[parseInt(text) - 1] ? "Right" : "Not quite"),
      mark: (answer) => buttons.forEach((button, place) => button.classList.toggle("right", texts[place] === answer)),
      drawn: () => [],
      lock: (shut) => buttons.forEach((button) => button.toggleAttribute("disabled", shut)),
    };
  };

  /**
   * Put a slider below a sentence "From 0 to 100 %."
   * @param {Element} sentence
   * @param {RegExpExecArray} parts
   * @param {(guess: string) => void} guessed
   * @returns {Field}
   */
  const makeSlider = (sentence, [, low, high, unit], guessed) => {
    const input = /** @type {HTMLInputElement} */ (make("input", { type: "range", min: low, max: high, value: low, "aria-label": `Your guess, from ${low} to ${high}${unit}` }));
    const shown = make("output", {});
    const element = make("div", { class: "guess", role: "group", "aria-label": "Your guess" },
      make("div", { class: "guess-slider" }, input, shown));
    sentence.after(element);
    input.addEventListener("input", () => guessed(input.value + unit));
    const place = (/** @type {string} */ text) => `left: ${(100 * (parseFloat(text) - Number(low))) / (Number(high) - Number(low))}%`;
    return {
      element,
      show: (guess) => {
        if (guess) input.value = `${parseFloat(guess)}`;
        input.setAttribute("aria-valuetext", guess || "no guess yet");
        shown.textContent = guess;
        return guess !== "";
      },
      answer: (text) => text,
      judge: (guess, text) => (parseFloat(guess) === parseFloat(text) ? "Right" : `Off by ${Math.abs(parseFloat(guess) - parseFloat(text))}`),
      mark: () => {},
      drawn: (guess, text) => [make("div", { class: "guess-line", "aria-hidden": "true" }, make("i", { style: place(guess) }), make("b", { style: place(text) }))],
      lock: (shut) => input.toggleAttribute("disabled", shut),
    };
  };

  /** @param {Element} box @param {HTMLDetailsElement} fold with the answer */
  const askIn = (box, fold) => {
    const [list, last] = [box.querySelector(":scope > ol"), box.querySelector(":scope > p:last-child")];
    const range = last ? RANGE.exec(textOf(last)) : null;
    const named = fold.querySelector("p.right > strong");
    if (!(list || range) || !named) return;
    const page = location.pathname.split("/").pop();
    const question = `${page}: ${textOf(box.querySelector("p:not(.admonition-title)") ?? box).slice(0, 80)}`;
    const [said, line] = [make("span", { role: "status" }), make("div", { class: "guessed" })];
    const open = make("button", { type: "button", class: "guess-open" });
    fold.id ||= `answer-${++answers}`;
    const why = make("a", { href: `#${fold.id}` }, "Read why ↓");
    let guess = read()[question] ?? "";

    const show = () => {
      if (!field.show(guess)) guess = "";
      open.textContent = fold.open ? (guess ? "Guess again" : "Hide the answer") : guess ? "Show the answer" : "Show the answer anyway";
      field.lock(fold.open);
      const name = textOf(named).replace(/[.,]$/, "");
      const answer = field.answer(name);
      const verdict = guess && field.judge(guess, name);
      const found = list ? parseInt(name) : name;
      field.mark(fold.open ? answer : "");
      if (fold.open) said.textContent = !guess ? `The answer is ${found}.` : verdict === "Right" ? "Right." : `${verdict}: it is ${found}.`;
      else if (said.className) said.textContent = "";
      said.classList.toggle("verdict", fold.open);
      why.hidden = !fold.open;
      line.hidden = !guess;
      line.replaceChildren(
        make("p", {}, make("b", {}, `${verdict}.`), " You guessed: ", make("span", {}, guess.replace(/\.$/, "")), ". The answer: ", make("strong", {}, answer === guess ? "the same" : answer.replace(/\.$/, "")), "."),
        ...(guess ? field.drawn(guess, name) : []),
      );
    };
    const guessed = (/** @type {string} */ text) => {
      guess = text;
      const kept = keep(question, text);
      show();
      said.textContent = !text ? "Forgotten." : kept ? "Kept in this browser." : "This browser keeps nothing: it is forgotten when you leave.";
    };
    const field = list ? makeChoices(list, guessed) : makeSlider(/** @type {Element} */ (last), /** @type {RegExpExecArray} */ (range), guessed);
    fold.addEventListener("toggle", show);
    fold.querySelector("summary")?.addEventListener("click", () => keep(question + SEEN, guess && !fold.open ? "yes" : ""));
    open.addEventListener("click", () => {
      fold.open = !fold.open;
      keep(question + SEEN, guess && fold.open ? "yes" : "");
      if (!fold.open && guess) guessed("");
    });
    field.element.append(make("div", { class: "guess-more" }, open, said, why));
    fold.querySelector(".sd-summary-content")?.prepend(line);
    if (guess && read()[question + SEEN]) fold.open = true;
    show();
  };

  let answers = 0;
  const start = () => {
    /** @type {Element | null} */
    let asked = null;
    for (const one of document.querySelectorAll("article :is(.admonition.predict, details.sd-dropdown)")) {
      if (one.matches(".predict")) asked = one;
      else if (asked && textOf(one.children[0]) === "Answer") {
        askIn(asked, /** @type {HTMLDetailsElement} */ (one));
        asked = null;
      }
    }
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
