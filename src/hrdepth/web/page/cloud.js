// A point cloud to turn: one buffer, two shaders. Points are x right, y down, z forward.

import { Refused } from "./sources.js";

const VERTEX = `
attribute vec3 point; attribute vec3 colour; varying vec3 shade;
uniform mat3 turn; uniform vec3 centre; uniform float distance, focal, aspect, size;
void main() {
  vec3 seen = turn * (point - centre);
  seen.z += distance;
  float near = 0.01 * distance, far = 100.0 * distance;
  gl_Position = vec4(seen.x * focal / aspect, -seen.y * focal, (seen.z * (far + near) - 2.0 * far * near) / (far - near), seen.z);
  gl_PointSize = clamp(size * focal / seen.z, 1.0, 12.0);
  shade = colour;
}`;
const FRAGMENT = "precision mediump float; varying vec3 shade; void main() { gl_FragColor = vec4(shade, 1.0); }";
const FILL = 0.95; // of the canvas, by the image as the camera saw it
const START = { yaw: 0.1, pitch: 0.1, zoom: 1 };
const KEYS = {
  ArrowLeft: [-0.1, 0, 1], ArrowRight: [0.1, 0, 1], ArrowUp: [0, -0.1, 1], ArrowDown: [0, 0.1, 1],
  "+": [0, 0, 1 / 1.15], "=": [0, 0, 1 / 1.15], "-": [0, 0, 1.15],
};

export class Cloud {
  constructor(canvas) {
    this.canvas = canvas;
    this.count = 0;
    this.view = null;
    const gl = canvas.getContext("webgl");
    if (!gl) throw new Refused("This browser has no WebGL, so the points cannot be shown; they can still be saved.");
    this.gl = gl;
    this.program = link(gl);
    this.buffers = { point: gl.createBuffer(), colour: gl.createBuffer() };
    this.reset();
    this.#listen();
  }

  reset() {
    Object.assign(this, START);
    this.draw();
  }

  /** Show points of `files.shownPoints`, lifted with this focal length in widths. */
  set({ points, colours, ...view }, focal) {
    const { gl } = this;
    for (const [name, values] of [["point", points], ["colour", colours]]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    }
    Object.assign(this, { count: points.length / 3, view: { ...view, focal } });
    this.draw();
  }

  draw() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = undefined;
      this.#render();
    });
  }

  #render() {
    const { gl, canvas, program } = this;
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(canvas.clientHeight * scale);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0.06, 0.07, 0.09, 1);
    gl.enable(gl.DEPTH_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (!this.count) return;
    gl.useProgram(program);
    for (const [name, kind, normalised] of [["point", gl.FLOAT, false], ["colour", gl.UNSIGNED_BYTE, true]]) {
      const place = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 3, kind, normalised, 0, 0);
    }
    const [a, b, c, d] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    const uniform = (name) => gl.getUniformLocation(program, name);
    gl.uniformMatrix3fv(uniform("turn"), false, [a, b * d, -b * c, 0, c, d, b, -a * d, a * c]);
    const { middle, ratio, width, focal } = this.view;
    const aspect = canvas.width / canvas.height;
    const viewer = 2 * FILL * focal * Math.min(aspect, ratio); // in half heights of the canvas
    gl.uniform3f(uniform("centre"), 0, 0, middle);
    gl.uniform1f(uniform("distance"), 1.1 * middle * this.zoom);
    gl.uniform1f(uniform("focal"), viewer);
    gl.uniform1f(uniform("aspect"), aspect);
    gl.uniform1f(uniform("size"), (0.8 * canvas.height * middle) / (focal * width));
    gl.drawArrays(gl.POINTS, 0, this.count);
  }

  #move(yaw, pitch, zoom) {
    this.yaw += yaw;
    this.pitch = Math.max(-1.5, Math.min(1.5, this.pitch + pitch));
    this.zoom = Math.max(0.02, Math.min(20, this.zoom * zoom));
    this.draw();
  }

  #listen() {
    const fingers = new Map();
    const spread = () => {
      const [one, other] = [...fingers.values()];
      return Math.hypot(one.x - other.x, one.y - other.y);
    };
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const apart = fingers.size === 2 ? spread() : 0;
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (apart) this.#move(0, 0, apart / Math.max(1, spread()));
      else if (fingers.size === 1) this.#move((event.clientX - before.x) / 200, (event.clientY - before.y) / 200, 1);
    });
    for (const kind of ["pointerup", "pointercancel"])
      canvas.addEventListener(kind, (event) => fingers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.#move(0, 0, Math.exp(event.deltaY / 800));
    });
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "0") this.reset();
      else if (KEYS[event.key]) this.#move(...KEYS[event.key]);
      else return;
      event.preventDefault();
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }
}

function link(gl) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Refused("WebGL does not work here, so the points cannot be shown.");
  return program;
}
