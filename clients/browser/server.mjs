// `bantam serve` for the tests of its page, which end it in the middle of an answer and start it again at the same place; and the browser.

import { spawn } from "node:child_process";
import { once } from "node:events";

import { chromium } from "playwright-core";

const { BANTAM, BANTAM_MODELS, CHROMIUM } = process.env;

// Without its sandbox, which the root user of a container cannot have; the pages are ours.
export const launch = () =>
  chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });

export class Server {
  // Serves some of the models `tiny` and `sample.bantam`, at any free port unless one is named.
  static async start(models, { port = 0, more = [] } = {}) {
    const paths = models.map((model) => BANTAM_MODELS + "/" + model);
    const child = spawn(BANTAM, ["serve", ...paths, "--port", String(port), ...more], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(child.stdout.setEncoding("utf8"), "data");
    return new Server(child, /http:\/\/[^/]*/.exec(line)[0]);
  }

  constructor(child, url) {
    this.child = child;
    this.url = url;
    this.port = new URL(url).port;
  }

  // Ends it at once, whatever it does.
  async kill() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await ended;
  }

  async metric(name) {
    const lines = (await (await fetch(this.url + "/metrics")).text()).split("\n");
    return Number(lines.find((line) => line.startsWith(name + "{"))?.split(" ").at(-1));
  }
}
