// Where images come from: a camera, an image file, a video file. What cannot be used is said in a sentence.

const MOST_MEGAPIXELS = 40;

/** An error whose message is a sentence for the visitor. */
export class Refused extends Error {}

/** Why there is no camera here, or null. */
export function cameraUnavailable() {
  if (!window.isSecureContext)
    return "Browsers give the camera only to pages opened by https or on localhost. Images and videos work here too.";
  if (!navigator.mediaDevices?.getUserMedia) return "This browser gives pages no camera. Images and videos work here too.";
  return null;
}

/** Open a camera: `environment` is the one at a phone's back, `user` the one at its front.
 *  `current` tells whether it is still wanted once the visitor has allowed it. */
export async function openCamera(video, facing, current = () => true) {
  const reason = cameraUnavailable();
  if (reason) throw new Refused(reason);
  let stream;
  try {
    const wanted = { facingMode: { ideal: facing }, width: { ideal: 640 }, height: { ideal: 480 } };
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
  } catch (error) {
    const sentences = {
      NotAllowedError: "The camera was refused. Allow it in the browser's settings of this page, and press Camera again.",
      NotFoundError: "No camera was found on this device.",
      NotReadableError: "The camera is in use by another program. Close that, and press Camera again.",
    };
    throw new Refused(sentences[error.name] ?? `The camera cannot be opened (${error.name}).`);
  }
  if (!current()) return stream.getTracks().forEach((track) => track.stop());
  video.srcObject = stream;
  return video.play();
}

/** Open a video file; it plays in a loop. */
export async function openVideo(video, file) {
  video.src = URL.createObjectURL(file);
  video.loop = true;
  try {
    await video.play();
  } catch (error) {
    throw new Refused(`${file.name} is not a video that this browser can play.`);
  }
  if (!video.videoWidth) throw new Refused(`${file.name} has no picture.`);
}

/** Stop whatever a video element shows, and give the camera back. */
export function closeVideo(video) {
  video.pause();
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.load();
}

/** Decode an image, upright, once its header says that it is not too large. */
export async function openImage(file, name = file.name) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await new Promise((done, failed) => Object.assign(image, { onload: done, onerror: failed }));
    const megapixels = (image.naturalWidth * image.naturalHeight) / 1e6;
    if (megapixels > MOST_MEGAPIXELS)
      throw new Refused(
        `${name} has ${megapixels.toFixed(0)} megapixels; this page takes up to ${MOST_MEGAPIXELS}. Make it smaller first.`,
      );
    return await createImageBitmap(image);
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused(`${name} is not an image that this browser can read.`);
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

/** The newest frames of a playing video; those that nobody waits for are dropped. */
export class Frames {
  constructor(video) {
    this.video = video;
    this.fresh = true;
    this.closed = false;
    this.waiting = null;
    this.#watch();
  }

  #watch() {
    const next = () => {
      if (this.closed) return;
      this.fresh = true;
      this.waiting?.();
      this.#watch();
    };
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(next);
    else requestAnimationFrame(next);
  }

  /** The current frame, as soon as it is a new one; null once closed. */
  async next() {
    if (!this.fresh && !this.closed) await new Promise((done) => (this.waiting = done));
    if (this.closed) return null;
    this.fresh = false;
    return createImageBitmap(this.video);
  }

  close() {
    this.closed = true;
    this.waiting?.();
  }
}
