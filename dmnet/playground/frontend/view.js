/**
 * What stands on the page, from the tool bar to the footer; what it shows comes from playground.js.
 *
 * @typedef {object} Actions what the reader's clicks do
 * @property {(scene: string) => void} choose
 * @property {() => void} tour
 * @property {() => void} share
 * @property {() => void} reset
 * @property {(scale: number, gate: number) => void} weigh
 * @property {(channel: number) => void} channel
 * @property {(scene: string) => void} lend
 * @property {() => void} swap
 * @property {() => void} edit
 * @property {(edits: string[]) => void} change
 * @property {() => void} prepare asks for what changes need
 * @property {(question: number) => void} reveal
 * @property {() => void} hold
 * @property {() => void} exchange
 * @property {() => void} release
 * @property {() => void} matters
 * @property {(file: Blob | undefined) => Promise<void>} own
 * @property {() => void} camera
 * @property {() => void} draw
 * @property {() => void} save
 */
import { Editor } from "./editor.js";
import { make, makeButton } from "./elements.js";
import { makePanel } from "./panels.js";
import { ScaleCards } from "./scales.js";

const NARROW = 34 * 16; // pixels, as in the style sheet

export class View {
  /**
   * @param {Actions} actions
   * @param {HTMLElement} tour
   * @param {string} privacy what becomes of a reader's own picture
   */
  constructor(actions, tour, privacy) {
    this.scene = make("select", { "aria-label": "Scene", onchange: () => actions.choose(this.scene.value) });
    this.tour = makeButton("Tour", actions.tour, "Five steps, most of them with a guess");
    this.edit = makeButton("Change …", actions.edit, "Move, add and remove objects, change the ground and the light");
    this.share = makeButton("Share", actions.share, "Copy the address of what you see");
    this.guide = tour;
    this.draw = makeButton("Draw …", actions.draw, "A scene of your own, which the network answers as it grows");
    this.hint = make("p.hint");
    this.credit = make("a");
    this.credits = make("p.fine", {}, "Photograph: ", this.credit);
    this.picture = makePanel("picture");
    this.prediction = makePanel("prediction");
    this.truth = makePanel("truth");
    this.difference = makePanel("changed");
    this.legend = make("ul.legend", { "aria-label": "What the colours mean" });
    this.side = make("div.side", {}, this.legend, this.truth.figure, this.difference.figure);
    this.scales = new ScaleCards(actions.weigh);
    this.panels = make("div.panels", {}, this.picture.figure, this.scales.large.figure, this.prediction.figure, this.side);
    this.editor = new Editor(this.picture, actions);
    this.field = make("div.field", {}, this.editor.stage, this.panels, this.editor.bench);
    this.others = make("div.others"); // where there is little room
    this.narrow = false;
    this.pointed = make("p.pointed.idle");
    this.summary = make("p.summary");
    this.opposite = make("p.opposite", { role: "status" });
    this.channel = make("select", { onchange: () => actions.channel(Number(this.channel.value)) });
    this.donor = make("select", { onchange: () => actions.lend(this.donor.value) });
    this.swap = makeButton("⇄", actions.swap, "The other way round: that picture with the filters of this one");
    this.reveal = make("select", { onchange: () => actions.reveal(Number(this.reveal.value)) });
    this.donorChoice = this.choice("Filters of", this.donor, this.swap);
    this.revealChoice = this.choice("Reveal", this.reveal);
    this.hold = makeButton("Hold as A", actions.hold, "Keep this answer beside those that follow");
    this.exchange = makeButton("A ⇄ B", actions.exchange, "Back to A, and hold this answer instead");
    this.release = makeButton("Let A go", actions.release, "Compare with the full network again");
    this.where = make("span.fine", {}, "A is the last picture above: change something, and compare.");
    this.exchange.hidden = this.release.hidden = this.where.hidden = true;
    this.classes = make("div.scores");
    this.matters = make("div.reasons");
    this.mattersBox = make("details.matters", { ontoggle: actions.matters },
      make("summary", {}, "Which scale matters here?"), this.matters);
    this.engine = make("span.engine");
    this.endCamera = () => {};
    this.message = make("p.message", { role: "alert", hidden: true });
    this.aloud = make("p.aloud", { role: "status", "aria-live": "polite" });
    /** @type {HTMLElement} */
    this.element = make("section.dmnet-app.playground", { "aria-label": "Playground: switch the network's scales on and off" },
      this.hint, tour, this.field, this.others, this.credits, this.summary, this.opposite, this.pointed, this.toolbar(actions),
      this.scales.element, this.scales.key,
      make("div.choices", {}, this.choice("Show", this.channel), this.donorChoice, this.revealChoice,
        make("div.choice", {}, this.hold, this.exchange, this.release, this.where)),
      make("div.below", {}, this.classes, this.mattersBox), this.footer(actions, privacy), this.message, this.aloud);
    // Of what is as wide as the whole: arranging changes the height of that, which an observer may not do to what it observes.
    new ResizeObserver(([{ contentRect: { width } }]) => {
      if (this.narrow === width < NARROW) return;
      this.narrow = !this.narrow;
      this.arrange();
    }).observe(this.hint);
  }

  /** Where there is little room, or a tour, picture and prediction stay in sight, with what their colours mean, and the tour; truth and what has changed stand below, and scroll. */
  arrange() {
    const apart = (this.narrow || !this.guide.hidden) && !this.editor.isOpen;
    const within = apart || this.narrow;
    const place = apart ? this.others : this.panels;
    if (within !== this.field.contains(this.guide)) this.field[within ? "prepend" : "before"](this.guide);
    if (this.side.parentElement !== place) place.append(this.side);
    (apart ? this.field : this.side)[apart ? "append" : "prepend"](this.legend);
    this.field.classList.toggle("staying", apart);
  }

  get allPanels() {
    return [this.picture, this.prediction, this.truth, this.difference];
  }

  /**
   * @param {string} name
   * @param {HTMLSelectElement} select
   * @param {...HTMLElement} more
   */
  choice(name, select, ...more) {
    return make("div.choice", {}, make("label", {}, make("span", {}, name), select), ...more);
  }

  /** @param {Actions} actions */
  toolbar(actions) {
    const chooser = make("div.chooser", {}, this.scene, this.edit);
    const reset = makeButton("Reset", actions.reset, "Everything as it was");
    return make("div.toolbar", {}, chooser, make("div.actions", {}, this.tour, this.share, reset));
  }

  /**
   * @param {Actions} actions
   * @param {string} privacy
   */
  footer(actions, privacy) {
    const file = make("input", { type: "file", accept: "image/*", hidden: true });
    file.addEventListener("change", () => actions.own(file.files[0]).finally(() => (file.value = "")));
    const buttons = [this.draw, makeButton("Own picture …", () => file.click(), "Or drop one anywhere here"), file];
    if (globalThis.isSecureContext && navigator.mediaDevices) {
      buttons.push(makeButton("Camera …", actions.camera, "Take a picture"));
    }
    buttons.push(makeButton("Save image", actions.save, "The panels as a PNG file"));
    return make("div.footer", {}, make("div.actions", {}, ...buttons), make("p.fine", {}, privacy, " ", this.engine));
  }

  /**
   * Fill a list of choices, unless it is the one that is there already.
   * @param {HTMLSelectElement} select
   * @param {string} key
   * @param {[string | number, string][]} options value and text
   */
  fill(select, key, options) {
    if (select.dataset.key === key) return;
    select.dataset.key = key;
    select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  }

  /** Open or close the workbench; the picture moves there and back, and the keyboard with it. */
  toggleEditor() {
    const inside = this.field.contains(document.activeElement);
    if (this.editor.isOpen) this.editor.close(this.panels);
    else this.editor.open();
    this.field.classList.toggle("editing", this.editor.isOpen);
    this.arrange();
    this.edit.setAttribute("aria-expanded", String(this.editor.isOpen));
    if (this.editor.isOpen) this.editor.canvas.focus();
    else if (inside) this.edit.focus();
  }

  /**
   * Take a picture with the camera: a preview and a button; nothing is kept.
   * @param {(video: HTMLVideoElement) => void} taken
   */
  async camera(taken) {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    const video = make("video", { autoplay: true, playsinline: true, "aria-label": "Camera preview" });
    [video.srcObject, video.muted] = [stream, true];
    const box = make("div.camera", {}, video);
    const end = () => {
      stream.getTracks().forEach((track) => track.stop());
      box.remove();
    };
    this.endCamera(); // of the click before this one
    this.endCamera = end;
    const take = makeButton("Take it", () => { taken(video); end(); }, "Show this picture to the network");
    take.disabled = true; // until there is one
    video.addEventListener("loadeddata", () => { take.disabled = false; take.focus(); });
    box.append(make("div.buttons", {}, take, makeButton("Cancel", end, "Switch the camera off")));
    this.field.before(box);
  }

  /**
   * Save the panels, side by side, as a PNG file.
   * @param {string} name of the file
   */
  save(name) {
    const panels = this.allPanels.filter(({ figure }) => !figure.hidden);
    const [side, gap, line] = [320, 12, 26];
    const canvas = make("canvas", { width: panels.length * (side + gap) + gap, height: side + line + 2 * gap });
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
    [context.fillStyle, context.font, context.imageSmoothingEnabled] = ["#333", "15px sans-serif", false];
    panels.forEach(({ canvas: panel, caption }, i) => {
      const [x, factor] = [gap + i * (side + gap), side / Math.max(panel.width, panel.height)];
      context.drawImage(panel, x, gap, panel.width * factor, panel.height * factor);
      context.fillText(caption.textContent, x, side + gap + line - 6);
    });
    make("a", { href: canvas.toDataURL("image/png"), download: name }).click();
  }
}
