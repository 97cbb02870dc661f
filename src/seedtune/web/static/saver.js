// Words on their way to the disk: in order, one request at a time, none lost.

import { post, Refusal } from "./api.js";
import { say } from "./dom.js";

const AT_ONCE = 500;
const AGAIN_MS = 2000;
const UNFIT = [413, 422];

export class Saver {
  #path;
  #waiting = [];
  #running = null;
  #saved = 0;
  #refused;

  /** `refused(word)` is told of each word that the studio would never take. */
  constructor(path, refused) {
    this.#path = path;
    this.#refused = refused;
    addEventListener("beforeunload", (event) => {
      if (this.#waiting.length) event.preventDefault();
    });
  }

  /** Save a word; the page need not wait. */
  put(by, word) {
    this.#waiting.push({ by, word });
    this.idle().catch(() => {});
  }

  /** Everything is on the disk when this ends; it fails with the reason when that cannot be. */
  idle() {
    this.#running ??= this.#drain().finally(() => { this.#running = null; });
    return this.#running;
  }

  async #drain() {
    let most = AT_ONCE, unfit = null;
    while (this.#waiting.length) {
      const by = this.#waiting[0].by;
      const end = this.#waiting.findIndex((entry) => entry.by !== by);
      const batch = this.#waiting.slice(0, Math.min(end < 0 ? this.#waiting.length : end, most));
      try {
        await post(this.#path, { by, words: batch.map((entry) => entry.word) });
      } catch (problem) {
        if (!UNFIT.includes(problem.status)) {
          this.#explain(problem);
          throw problem;
        }
        // One that is unfit, an edit that is too long for instance, must not hold back the others.
        most = Math.ceil(batch.length / 2);
        if (batch.length > 1) continue;
        unfit = problem;
        this.#refused(this.#waiting.shift().word);
        continue;
      }
      this.#waiting.splice(0, batch.length);
      this.#saved += batch.length;
    }
    if (unfit) say(`Taken back, as it cannot be saved: ${unfit.message}`, true);
    else if (this.#saved) say(`${this.#saved} saved`);
  }

  #explain(problem) {
    say(`Not saved (${this.#waiting.length}): ${problem.message}`, true);
    // What the studio refuses, it would refuse again; what did not arrive may the next time.
    if (problem instanceof Refusal && (problem.status === 0 || problem.status >= 500)) {
      setTimeout(() => this.idle().catch(() => {}), AGAIN_MS);
    }
  }
}
