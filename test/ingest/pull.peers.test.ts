import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import type { Packet } from "../../src/media/packet.ts";
import { decodeAll, playFile } from "../decode/playing.ts";
import { makeMedia } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort, freeUdpPort, Program, until } from "../kit/process.ts";
import { failure, pull, readAll } from "./pulling.ts";

const folder = await mkdtemp(join(tmpdir(), "tessera-pull-"));
const cleanUps: (() => void)[] = [];
afterAll(() => rm(folder, { recursive: true }));
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
  await until("no pull child is left", () => pullChildren().length === 0, 3000);
});

/** Process ids of this process's pull children. */
function pullChildren(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const [, parent] = /\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
        const isOurs = Number(parent) === process.pid;
        return isOurs && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("pull-child");
      } catch {
        return false;
      }
    });
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  cleanUps.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function serveTcp(onSocket: (socket: Socket) => void): Promise<number> {
  const server = createTcpServer((socket) => onSocket(socket.on("error", () => socket.destroy()))).listen(
    0,
    "127.0.0.1",
  );
  await new Promise((resolve) => server.once("listening", resolve));
  cleanUps.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Serves files whole or in ranges. */
const files =
  (...paths: readonly string[]): RequestListener =>
  (request, response) => {
    const path = paths.find((one) => `/${basename(one)}` === request.url);
    if (path === undefined) {
      response.writeHead(404).end();
      return;
    }
    const bytes = readFileSync(path);
    const [, from = "0", to = ""] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "") ?? [];
    const end = to === "" ? bytes.length : Number(to) + 1;
    const range = { "content-range": `bytes ${from}-${end - 1}/${bytes.length}`, "accept-ranges": "bytes" };
    response
      .writeHead(206, { ...range, "content-length": end - Number(from) })
      .end(bytes.subarray(Number(from), end));
  };

const avArgs = (seconds: number): readonly string[] => [
  ...["-f", "lavfi", "-i", `testsrc2=size=320x240:rate=30:duration=${seconds}`],
  ...["-f", "lavfi", "-i", `sine=frequency=440:duration=${seconds}`],
  ...["-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "30", "-bf", "2", "-c:a", "aac", "-shortest"],
];
const md5s = (packets: readonly Packet[]): readonly string[] =>
  decodeAll(packets).pictures.map(({ md5 }) => md5);

requirePeer("ffmpeg")("inputs over the network", () => {
  for (const container of ["mp4", "ts", "mkv"]) {
    test(`a ${container} file over HTTP is the file`, async () => {
      const path = await makeMedia(avArgs(3), container);
      const base = await serve(files(path));
      const packets = await readAll(`${base}/${basename(path)}`);
      expect(md5s(packets)).toEqual((await playFile(path)).pictures.map(({ md5 }) => md5));
    });
  }

  test("HLS is read segment by segment", async () => {
    const path = await makeMedia(avArgs(4), "ts");
    await using segments = await Program.start("ffmpeg", [
      ...[
        "-v",
        "error",
        "-i",
        path,
        "-c",
        "copy",
        "-f",
        "hls",
        "-hls_time",
        "1",
        "-hls_playlist_type",
        "vod",
      ],
      join(folder, "list.m3u8"),
    ]);
    await segments.exited;
    const names = readdirSync(folder).filter((name) => name.startsWith("list"));
    expect(names.length).toBeGreaterThan(3);
    const base = await serve(files(...names.map((name) => join(folder, name))));
    expect(md5s(await readAll(`${base}/list.m3u8`))).toEqual(
      (await playFile(path)).pictures.map(({ md5 }) => md5),
    );
  });

  test("a reader who is slow holds a file back, and misses nothing", async () => {
    const path = await makeMedia(avArgs(20), "ts");
    const base = await serve(files(path));
    const input = pull(`${base}/${basename(path)}`, { stallTimeoutMs: 700 });
    const packets: Packet[] = [];
    for await (const packet of input) {
      packets.push(packet);
      if (packets.length === 3) await new Promise((resolve) => setTimeout(resolve, 2500));
    }
    expect(input.dropped).toBe(0);
    expect(md5s(packets).length).toBe(600);
  });

  const live = [
    {
      name: "SRT",
      format: "mpegts",
      port: freeUdpPort,
      url: (port: number) => `srt://127.0.0.1:${port}`,
      listen: "?mode=listener",
    },
    {
      name: "RTMP",
      format: "flv",
      port: freePort,
      url: (port: number) => `rtmp://127.0.0.1:${port}/live/key`,
      listen: "",
    },
  ];
  for (const { name, format, port, url, listen } of live) {
    test(`${name} is read live, and its sudden end is seen`, async () => {
      const path = await makeMedia(avArgs(20), "mp4");
      const at = url(await port());
      const server = format === "flv" ? ["-listen", "1"] : [];
      await using program = await Program.start("ffmpeg", [
        ...["-v", "error", "-re", "-i", path, "-c", "copy", "-f", format, ...server, `${at}${listen}`],
      ]);
      await new Promise((resolve) => setTimeout(resolve, 700));
      const packets: Packet[] = [];
      const reading = (async () => {
        for await (const packet of pull(at, { stallTimeoutMs: 1500 })) {
          packets.push(packet);
          if (packets.length === 200) program.signal("SIGSTOP");
        }
      })();
      expect(await failure(reading)).toMatchObject({ code: "ERR_PEER_LOST" });
      const { pictures, video } = decodeAll(packets);
      expect(pictures.length).toBeGreaterThan(50);
      expect(video).toMatchObject({ errors: 0, concealed: 0 });
    }, 30_000);
  }
});

requirePeer("ffmpeg")("inputs that fail", () => {
  const schemes = ["http", "https", "rtmp", "rtmps", "rtsp", "srt"];
  for (const scheme of schemes) {
    test(`${scheme} to a port where nobody listens`, async () => {
      const port = await freePort();
      // The last part of an RTMP path is a key; elsewhere keys stand in queries.
      const path = scheme.startsWith("rtmp") ? "live/hidden" : "live?token=hidden";
      const { code, message } = await failure(readAll(`${scheme}://user:secret@127.0.0.1:${port}/${path}`));
      expect(code).toBe("ERR_PEER_UNREACHABLE");
      expect(message).not.toMatch(/secret|hidden/);
    });
  }

  for (const scheme of ["http", "rtmp", "rtsp"]) {
    test(`${scheme} to a peer that accepts and says nothing`, async () => {
      let asked = 0;
      const port = await serveTcp((socket) => socket.on("data", ({ length }) => (asked += length)));
      const before = performance.now();
      const reading = readAll(`${scheme}://127.0.0.1:${port}/live/x`, { openTimeoutMs: 1500 });
      expect(await failure(reading)).toMatchObject({ code: "ERR_PEER_UNREACHABLE" });
      expect(asked).toBeGreaterThan(0);
      expect(performance.now() - before).toBeLessThan(4000);
    });
  }

  test("a peer that stops in the middle", async () => {
    const bytes = readFileSync(await makeMedia(avArgs(20), "ts"));
    const base = await serve((_, response) => {
      response.writeHead(200, { "content-length": bytes.length }).write(bytes.subarray(0, bytes.length / 2));
    });
    const packets: Packet[] = [];
    const reading = (async () => {
      for await (const packet of pull(`${base}/x.ts`, { stallTimeoutMs: 800 })) packets.push(packet);
    })();
    expect(await failure(reading)).toMatchObject({ code: "ERR_PEER_LOST" });
    expect(packets.length).toBeGreaterThan(100);
  });

  const answers = [
    { status: 404, code: "ERR_PEER_UNREACHABLE" },
    { status: 403, code: "ERR_PEER_REJECTED" },
    { status: 401, code: "ERR_PEER_REJECTED" },
    { status: 500, code: "ERR_PEER_UNREACHABLE" },
  ];
  for (const { status, code } of answers) {
    test(`HTTP ${status}`, async () => {
      const base = await serve((_, response) => response.writeHead(status).end("no"));
      expect(await failure(readAll(`${base}/x.mp4`))).toMatchObject({ code });
    });
  }

  test("garbage", async () => {
    const base = await serve((_, response) => response.writeHead(200).end("garbage ".repeat(50_000)));
    expect(await failure(readAll(`${base}/x.mp4`))).toMatchObject({ code: "ERR_MEDIA_INVALID" });
  });

  test("a child that is killed costs this input alone, and says so", async () => {
    const path = await makeMedia(avArgs(20), "ts");
    const base = await serve(files(path));
    const reading = (async () => {
      let count = 0;
      for await (const _ of pull(`${base}/${basename(path)}`)) {
        count += 1;
        if (count === 5) for (const pid of pullChildren()) process.kill(pid, "SIGKILL");
        if (count >= 5) await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    expect(await failure(reading)).toMatchObject({ code: "ERR_PEER_LOST" });
  });

  test("close ends the reader and the child at once, also while it opens", async () => {
    const port = await serveTcp(() => undefined);
    const input = pull(`rtmp://127.0.0.1:${port}/live/x`);
    const reading = (async () => {
      for await (const _ of input) expect.unreachable("nothing was sent");
    })();
    await until("the child runs", () => pullChildren().length === 1, 5000);
    const before = performance.now();
    await input.close();
    await reading;
    await until("the child is gone", () => pullChildren().length === 0, 1000);
    expect(performance.now() - before).toBeLessThan(500);
  });
});

requirePeer("ffmpeg")("addresses that are not allowed", () => {
  const closed = { destinations: { allow: [], loopback: false } };
  test("are not asked", async () => {
    let asked = 0;
    const base = await serve((_, response) => {
      asked += 1;
      response.end();
    });
    const port = URL.parse(base)?.port ?? "";
    for (const url of [
      `${base}/x`,
      `rtmp://127.0.0.1:${port}/a/b`,
      `rtsp://localhost:${port}/a`,
      `http://0x7f.1:${port}/`,
      `rtmp://[::ffff:127.0.0.1]:${port}/a/b`,
    ]) {
      expect(await failure(readAll(url, closed)), url).toMatchObject({ code: "ERR_FORBIDDEN" });
    }
    expect(asked).toBe(0);
  });

  test("are not reached by a redirect or a playlist, nor are files", async () => {
    const victim = await makeMedia(avArgs(3), "ts");
    await writeFile(
      join(folder, "private.m3u8"),
      "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://10.1.2.3/x.ts\n#EXT-X-ENDLIST\n",
    );
    await writeFile(
      join(folder, "local.m3u8"),
      `#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://${victim}\n#EXT-X-ENDLIST\n`,
    );
    const listing = files(join(folder, "private.m3u8"), join(folder, "local.m3u8"));
    const base = await serve((request, response) => {
      if (request.url === "/moved")
        response.writeHead(302, { location: "http://169.254.169.254/latest" }).end();
      else listing(request, response);
    });
    expect(await failure(readAll(`${base}/moved`))).toMatchObject({ code: "ERR_FORBIDDEN" });
    expect(await failure(readAll(`${base}/private.m3u8`))).toMatchObject({ code: "ERR_FORBIDDEN" });
    expect(await failure(readAll(`${base}/local.m3u8`))).toMatchObject({ code: "ERR_MEDIA_INVALID" });
  });
});
