// The service worker: the page's files from a cache, so that it works off line, with the headers that threads need.
// `hrdepth pack --web` writes the headers, and the version, which changes with any of the files.
const VERSION = "{{version}}";
const SHELL = {{shell}};
const HEADERS = {{headers}};
const CACHE = `hrdepth ${self.registration.scope} ${VERSION}`;

self.addEventListener("install", (event) => event.waitUntil(fill().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(clean().then(() => self.clients.claim())));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(self.registration.scope)) event.respondWith(answer(event));
});

async function fill() {
  const cache = await caches.open(CACHE);
  await cache.addAll(SHELL.map((path) => new Request(path, { cache: "no-cache" })));
}

async function clean() {
  const own = `hrdepth ${self.registration.scope} `;
  const old = (await caches.keys()).filter((name) => name.startsWith(own) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
}

// The large files are stored when they are first asked for: the network, and the runtime that this browser uses.
async function answer(event) {
  const cache = await caches.open(CACHE);
  const address = new URL(event.request.url);
  address.search = address.hash = "";
  let found = await cache.match(address.href);
  if (!found) {
    found = await fetch(new Request(address.href, { cache: "no-cache" })).catch(() => Response.error());
    if (!found.ok || found.redirected) return found;
    // Without room for it, the page works, but not off line.
    event.waitUntil(cache.put(address.href, found.clone()).catch(() => {}));
  }
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}
