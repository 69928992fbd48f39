/**
 * Pictures of the reader's own: out of a file, dropped on the playground, or taken by the camera.
 *
 * @import { View } from "./view.js"
 */
import { kept, PictureError, readPicture } from "./pictures.js";

export class OwnPictures {
  /**
   * @param {View} view
   * @param {(picture: HTMLCanvasElement) => void} take
   * @param {(message: string) => void} say "" takes the last message away
   */
  constructor(view, take, say) {
    this.view = view;
    this.take = take;
    this.say = say;
    const over = (/** @type {DragEvent} */ event, /** @type {boolean} */ on) => {
      event.preventDefault();
      view.element.classList.toggle("dropping", on);
    };
    view.element.addEventListener("dragover", (event) => over(event, true));
    view.element.addEventListener("dragleave", (event) => over(event, false));
    view.element.addEventListener("drop", (event) => {
      over(event, false);
      this.read(event.dataTransfer?.files[0]);
    });
  }

  /** @param {Blob | undefined} file */
  async read(file) {
    if (!file) return;
    try {
      this.take(await readPicture(file));
      this.say("");
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      this.say(error.message);
    }
  }

  async camera() {
    try {
      await this.view.camera((video) => this.take(kept(video, video.videoWidth, video.videoHeight)));
    } catch {
      this.say("No picture could be taken: there is no camera, or its use was not allowed.");
    }
  }
}
