// The network as the page sees it: a worker that is asked one image at a time, and the service worker beside it.

/** Ask the worker; answers come in order of the questions. */
export class Network {
  constructor(onProgress) {
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.open = new Map();
    this.asked = 0;
    this.worker.onmessage = ({ data: { id, result, error, progress, what } }) => {
      if (what) return onProgress(what, progress);
      const [done, failed] = this.open.get(id);
      this.open.delete(id);
      return error ? failed(new Error(error)) : done(result);
    };
    this.worker.onerror = (event) => {
      for (const [, failed] of this.open.values()) failed(new Error(event.message || "worker.js cannot be loaded"));
      this.open.clear();
    };
  }

  #ask(kind, given, transfer = []) {
    const id = this.asked++;
    this.worker.postMessage({ kind, id, ...given }, transfer);
    return new Promise((done, failed) => this.open.set(id, [done, failed]));
  }

  /** Load runtime and network; return provider, threads and a note. */
  load(description, { provider, threads }) {
    return this.#ask("load", { description, provider, threads });
  }

  /** Predict for an image (which comes back with the answer) at a size as `depth.aspectSize` adapts it. */
  predict(bitmap, size) {
    return this.#ask("predict", { bitmap, size }, [bitmap]);
  }
}

const PATIENCE = 10_000; // until the service worker has stored the first files

/** Start the service worker; load the page again if only that lets the network use threads. */
export async function startService() {
  if (!navigator.serviceWorker) return;
  try {
    const registration = await navigator.serviceWorker.register("service.js");
    if (!navigator.serviceWorker.controller && !registration.active)
      await new Promise((done) => {
        navigator.serviceWorker.addEventListener("controllerchange", done, { once: true });
        setTimeout(done, PATIENCE);
      });
    const again = sessionStorage.getItem("hrdepth");
    sessionStorage.setItem("hrdepth", "loaded");
    if (window.crossOriginIsolated || !navigator.serviceWorker.controller || again) return;
  } catch {
    return; // private windows and certificates made on the spot: the page works, with one thread and not off line
  }
  window.location.reload();
  await new Promise(() => {});
}
