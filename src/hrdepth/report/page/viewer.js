// A point cloud that turns: points drawn into a canvas, the nearest last to stay. Needs no graphics card.
"use strict";
(() => {
  const canvas = document.getElementById("cloud");
  const data = JSON.parse(document.getElementById("cloud-data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const steps = new DataView(bytes(data.positions).buffer);
  const colours = bytes(data.colours);
  const points = new Float32Array(3 * data.count);
  const packed = new Uint32Array(data.count);
  for (let at = 0; at < points.length; at++) {
    const axis = at % 3;
    const share = steps.getUint16(2 * at, true) / 65535;
    points[at] = data.low[axis] + share * (data.high[axis] - data.low[axis]);
  }
  for (let at = 0; at < data.count; at++) {
    // Little endian: alpha, blue, green, red.
    packed[at] = 0xff000000 | (colours[3 * at + 2] << 16) | (colours[3 * at + 1] << 8) | colours[3 * at];
  }
  const depths = Float32Array.from({ length: data.count }, (_, at) => points[3 * at + 2]).sort();
  const middle = depths[Math.floor(data.count / 2)];
  // The angle between neighbouring points as the camera saw them: so large each has to be drawn to close the surface.
  const bounds = [Infinity, -Infinity, Infinity, -Infinity];
  for (let at = 0; at < points.length; at += 3) {
    const across = points[at] / points[at + 2], down = points[at + 1] / points[at + 2];
    bounds[0] = Math.min(bounds[0], across);
    bounds[1] = Math.max(bounds[1], across);
    bounds[2] = Math.min(bounds[2], down);
    bounds[3] = Math.max(bounds[3], down);
  }
  const angle = Math.sqrt(((bounds[1] - bounds[0]) * (bounds[3] - bounds[2])) / data.count);
  // It is turned around a point in front of the camera, from a bit behind it and a little above the road.
  const start = { yaw: 0.3, pitch: -0.12, distance: 1.05 * middle, target: [0, 0, middle] };
  let view = structuredClone(start);
  let context, image, pixels, nearest, waiting = false;

  function resize() {
    const ratio = Math.min(window.devicePixelRatio || 1, 1.5);
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    context = canvas.getContext("2d");
    image = context.createImageData(canvas.width, canvas.height);
    pixels = new Uint32Array(image.data.buffer);
    nearest = new Float32Array(pixels.length);
    ask();
  }

  function ask() {
    if (!waiting) {
      waiting = true;
      requestAnimationFrame(draw);
    }
  }

  function draw() {
    waiting = false;
    const width = canvas.width, height = canvas.height, focal = 0.85 * height;
    const cy = Math.cos(view.yaw), sy = Math.sin(view.yaw), cp = Math.cos(view.pitch), sp = Math.sin(view.pitch);
    const [tx, ty, tz] = view.target;
    const dot = 1.25 * angle * focal;
    pixels.fill(0xff1a1412);
    nearest.fill(Infinity);
    for (let at = 0; at < data.count; at++) {
      const x = points[3 * at] - tx, y = points[3 * at + 1] - ty, z = points[3 * at + 2] - tz;
      const across = cy * x - sy * z, along = sy * x + cy * z;
      const down = cp * y - sp * along, depth = sp * y + cp * along + view.distance;
      if (depth < 0.02 * middle) continue;
      const size = Math.min(14, Math.max(1, Math.ceil((dot * points[3 * at + 2]) / depth)));
      const left = Math.round(width / 2 + (focal * across) / depth - size / 2);
      const top = Math.round(height / 2 + (focal * down) / depth - size / 2);
      if (left < 0 || top < 0 || left + size > width || top + size > height) continue;
      for (let row = top; row < top + size; row++) {
        for (let place = row * width + left; place < row * width + left + size; place++) {
          if (depth < nearest[place]) {
            nearest[place] = depth;
            pixels[place] = packed[at];
          }
        }
      }
    }
    context.putImageData(image, 0, 0);
  }

  function turn(right, down) {
    view.yaw += right;
    view.pitch = Math.max(-1.5, Math.min(1.5, view.pitch + down));
    ask();
  }

  function move(right, down) {
    const factor = view.distance / (0.85 * canvas.clientHeight);
    const cy = Math.cos(view.yaw), sy = Math.sin(view.yaw);
    view.target[0] -= factor * right * cy;
    view.target[2] += factor * right * sy;
    view.target[1] -= factor * down;
    ask();
  }

  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    if (event.shiftKey) move(event.movementX, event.movementY);
    else turn(0.006 * event.movementX, -0.006 * event.movementY);
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.distance = Math.max(0.05 * middle, Math.min(8 * middle, view.distance * Math.exp(0.001 * event.deltaY)));
    ask();
  }, { passive: false });
  canvas.addEventListener("dblclick", () => { view = structuredClone(start); ask(); });
  canvas.addEventListener("keydown", (event) => {
    const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    if (event.key in turns) {
      event.preventDefault();
      turn(...turns[event.key]);
    }
  });
  window.addEventListener("resize", resize);
  resize();
})();
