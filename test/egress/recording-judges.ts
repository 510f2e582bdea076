import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, statSync } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { BITS, CHIRP } from "./recording-media.ts";

/** Programs that did not come from us, asked what they see and hear in a file. */

const run = promisify(execFile);
const LARGE = { maxBuffer: 512 * 2 ** 20, encoding: "buffer" } as const;

/** What Debian's ffprobe says of a file. `warnings` holds everything it complained about. */
export interface Probe {
  readonly durationS: number;
  readonly startS: number;
  readonly streams: readonly Record<string, string>[];
  readonly warnings: string;
}

export async function ffprobe(path: string): Promise<Probe> {
  const { stdout, stderr } = await run("ffprobe", [
    "-v",
    "warning",
    "-of",
    "json",
    "-show_format",
    "-show_streams",
    path,
  ]);
  const { format, streams } = JSON.parse(stdout);
  return { durationS: Number(format.duration), startS: Number(format.start_time), streams, warnings: stderr };
}

/** Stamp, decode stamp and duration of every packet of one kind, in seconds. */
export async function packetTimes(path: string, kind: "v" | "a") {
  const fields = "packet=pts_time,dts_time,duration_time,flags";
  const args = ["-v", "error", "-select_streams", kind, "-show_entries", fields, "-of", "json", path];
  const { stdout } = await run("ffprobe", args, { maxBuffer: LARGE.maxBuffer });
  const { packets } = JSON.parse(stdout) as { packets: Record<string, string>[] };
  return packets.map((one) => ({
    pts: Number(one.pts_time),
    dts: Number(one.dts_time),
    duration: Number(one.duration_time),
    key: one.flags?.startsWith("K") ?? false,
  }));
}

/** The numbers that ffmpeg reads out of the decoded pictures, and what it complained about. */
export async function frameNumbers(path: string): Promise<{ numbers: number[]; complaints: string }> {
  const scale = `scale=${BITS}:1:flags=area,format=gray`;
  const args = [
    "-v",
    "warning",
    "-i",
    path,
    "-map",
    "0:v",
    "-fps_mode",
    "passthrough",
    "-vf",
    scale,
    "-f",
    "rawvideo",
    "-",
  ];
  const { stdout, stderr } = await run("ffmpeg", args, LARGE);
  return { numbers: numbersIn(stdout), complaints: stderr.toString() };
}

function numbersIn(rows: Buffer): number[] {
  return Array.from({ length: Math.floor(rows.length / BITS) }, (_, frame) => {
    let number = 0;
    for (let bit = 0; bit < BITS; bit++) if ((rows[frame * BITS + bit] ?? 0) > 128) number += 2 ** bit;
    return number;
  });
}

/** Where ffmpeg hears the chirps: sample positions on the file's own time line at 48 kHz, stamps respected. */
export async function chirps(path: string): Promise<number[]> {
  // first_pts=0 fills what is missing before the first sample, so that index 0 is time 0.
  const filter = "aresample=async=1:min_hard_comp=0.01:first_pts=0";
  const args = [
    "-v",
    "error",
    "-i",
    path,
    "-map",
    "0:a",
    "-af",
    filter,
    "-ac",
    "1",
    "-ar",
    "48000",
    "-f",
    "f32le",
    "-",
  ];
  const { stdout } = await run("ffmpeg", args, LARGE);
  const pcm = new Float32Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.length));
  return peaks(pcm);
}

/** Positions where `pcm` is most like the chirp, one per stretch that is like it at all. */
function peaks(pcm: Float32Array): number[] {
  const energy = CHIRP.reduce((sum, value) => sum + value * value, 0);
  const found: { at: number; score: number }[] = [];
  for (let at = 0; at + CHIRP.length <= pcm.length; at++) {
    if (Math.abs(pcm[at + 240] ?? 0) < 0.02 && Math.abs(pcm[at + 243] ?? 0) < 0.02) continue;
    let score = 0;
    for (let index = 0; index < CHIRP.length; index++) score += (CHIRP[index] ?? 0) * (pcm[at + index] ?? 0);
    if (score < 0.5 * energy) continue;
    const last = found.at(-1);
    if (last === undefined || at - last.at > 4800) found.push({ at, score });
    else if (score > last.score) found[found.length - 1] = { at, score };
  }
  return found.map((one) => one.at);
}

/** What a GStreamer pipeline decodes up to the end of the stream: numbers of pictures, samples of sound. */
export async function gstreamer(
  path: string,
): Promise<{ numbers: number[]; samples: number; complaints: string }> {
  const folder = await mkdtemp(join(tmpdir(), "tessera-gstreamer-"));
  const [pictures, sound] = [join(folder, "pictures"), join(folder, "sound")];
  const size = `video/x-raw,format=GRAY8,width=${BITS},height=4`; // rows of GRAY8 are padded to 4 bytes
  const video = `d. ! queue ! videoconvert ! videoscale method=lanczos ! ${size} ! filesink location=${pictures}`;
  const audio = `d. ! queue ! audioconvert ! audio/x-raw,format=S16LE,channels=1 ! filesink location=${sound}`;
  const args = `filesrc location=${path} ! decodebin name=d ${video} ${audio}`.split(" ");
  try {
    const { stdout, stderr } = await run("gst-launch-1.0", args, {
      maxBuffer: LARGE.maxBuffer,
      timeout: 30_000,
    });
    const rows = await readFile(pictures);
    const first = Buffer.concat(
      Array.from({ length: rows.length / (4 * BITS) }, (_, frame) =>
        rows.subarray(frame * 4 * BITS, (frame * 4 + 1) * BITS),
      ),
    );
    const complaints = [stderr.trim(), ...(stdout.match(/^(ERROR|WARNING).*/gm) ?? [])].join("");
    return { numbers: numbersIn(first), samples: (await stat(sound)).size / 2, complaints };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** How many bytes ffmpeg reads to show one picture at `seconds` into a file that it gets over HTTP. */
export async function bytesToShowAt(path: string, seconds: number): Promise<number> {
  const sent = { bytes: 0 };
  const server = createServer((request, response) => void sendRange(path, request, response, sent));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/media`;
  try {
    const one = ["-frames:v", "1", "-f", "null", "-"];
    await run("ffmpeg", ["-v", "error", "-ss", `${seconds}`, "-i", url, ...one], { timeout: 30_000 });
    return sent.bytes;
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** The length that GStreamer's discoverer announces, in seconds. */
export async function gstreamerDuration(path: string): Promise<number> {
  const { stdout } = await run("gst-discoverer-1.0", [path]);
  const [, hours, minutes, rest] = /Duration: (\d+):(\d+):([\d.]+)/.exec(stdout) ?? [];
  return Number(hours) * 3600 + Number(minutes) * 60 + Number(rest);
}

/** What Chromium's `<video>` reported. */
export interface Played {
  readonly error?: string;
  readonly duration: number;
  readonly videoWidth: number;
  /** How far it had played when it was asked to seek. */
  readonly playedS: number;
  /** Where it stood after seeking near the end. */
  readonly soughtS: number;
  /** Bytes that it had asked for before it knew the duration. */
  readonly openedAfterBytes: number;
}

const PAGE = `<!doctype html><video id=v muted></video><script>
const v = document.getElementById('v'), out = {};
const tell = (more) => fetch('/told', {method: 'POST', body: JSON.stringify({...out, ...more})});
v.onerror = () => tell({error: v.error.code + ' ' + v.error.message});
v.onloadedmetadata = () => { out.duration = v.duration; out.videoWidth = v.videoWidth; fetch('/opened', {method: 'POST'}); v.play(); };
v.ontimeupdate = () => {
  if (v.currentTime < 0.6) return;
  v.ontimeupdate = null; out.playedS = v.currentTime; v.pause();
  v.onseeked = () => tell({soughtS: v.currentTime});
  v.currentTime = Number.isFinite(v.duration) ? v.duration - 0.5 : 1;
};
v.src = '/media' + location.search;
</script>`;

/** Plays `path` in a headless Chromium, from an HTTP server with ranges on the loopback interface. */
export async function chromium(path: string): Promise<Played> {
  const told = Promise.withResolvers<Played>();
  const sent = { bytes: 0 };
  let openedAfterBytes = 0;
  const server = createServer(async (request, response) => {
    if (request.url === "/opened") openedAfterBytes = sent.bytes;
    if (request.url === "/told") told.resolve({ ...JSON.parse(await text(request)), openedAfterBytes });
    if (request.url?.startsWith("/media")) await sendRange(path, request, response, sent);
    else response.setHeader("content-type", "text/html").end(request.method === "GET" ? PAGE : "");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const profile = await mkdtemp(join(tmpdir(), "tessera-chromium-"));
  const flags = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--mute-audio",
    "--no-first-run",
    `--user-data-dir=${profile}`,
  ];
  const quiet = [
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
  ];
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/page`;
  const browser = spawn("chromium", [...flags, ...quiet, url], { stdio: "ignore", detached: true });
  const timer = globalThis.setTimeout(() => told.reject(new Error("Chromium said nothing for 30 s")), 30_000);
  try {
    return await told.promise;
  } finally {
    clearTimeout(timer);
    if (browser.pid !== undefined) process.kill(-browser.pid, "SIGKILL");
    await once(browser, "close");
    server.closeAllConnections();
    server.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 10 });
  }
}

async function text(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request) body += chunk;
  return body;
}

/** As slow as a network, 6 MB/s, or a browser has everything before it says how much it wanted. Counts what it sends. */
async function sendRange(
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  sent: { bytes: number },
) {
  const { size } = statSync(path);
  const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "bytes=0-") ?? [];
  const [start, end] = [Number(from), to ? Number(to) : size - 1];
  const type = path.endsWith(".mkv") ? "video/x-matroska" : "video/mp4";
  const range = { "content-range": `bytes ${start}-${end}/${size}`, "content-length": end - start + 1 };
  response.writeHead(206, { "accept-ranges": "bytes", "content-type": type, ...range });
  for await (const chunk of createReadStream(path, { start, end, highWaterMark: 65_536 })) {
    if (response.destroyed) return;
    sent.bytes += chunk.length;
    response.write(chunk);
    await setTimeout(10);
  }
  response.end();
}
