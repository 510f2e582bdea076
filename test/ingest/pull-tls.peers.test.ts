import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { counterVideo } from "../kit/media.ts";
import { makeCertificate, Nginx, Stunnel } from "../kit/nginx.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort, Program, runToEnd, until } from "../kit/process.ts";
import { RtspServer } from "../kit/rtsp-server.ts";
import { LoopbackServer } from "./loopback.ts";
import { failure, judgePackets, pull, readAll, toneOf } from "./pulling.ts";

const folder = await mkdtemp(join(tmpdir(), "tessera-tls-"));
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => void vi.unstubAllEnvs());

/** Whole, and none twice. */
const EVERY = { unreadable: 0, missed: [], repeated: [], backward: [] };
/** What a peer whose certificate is not to be trusted is told to be. */
const UNTRUSTED = { code: "ERR_PEER_UNREACHABLE", message: expect.stringMatching(/certificate|altnames/i) };

/** Certificate and key, made in a folder of their own. */
async function identity(
  subjects?: string,
): Promise<{ readonly tls: { readonly cert: Buffer; readonly key: Buffer }; readonly file: string }> {
  const { cert, key } = await makeCertificate(await mkdtemp(join(folder, "id-")), subjects);
  return { tls: { cert: readFileSync(cert), key: readFileSync(key) }, file: cert };
}

/** What an operator does to trust an authority of his own. */
const trust = (file: string, name = "NODE_EXTRA_CA_CERTS"): void => void vi.stubEnv(name, file);

/** Serves the files of a folder whole. */
const filesOf =
  (from: string): RequestListener =>
  (request, response) => {
    const bytes = readFileSync(join(from, basename(request.url ?? "")));
    response.writeHead(200, { "content-length": bytes.length }).end(bytes);
  };

requirePeer("ffmpeg", "openssl")("HTTPS", () => {
  for (const name of ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"]) {
    test(`every picture and the sound from a server that ${name} trusts`, async () => {
      const file = await counterVideo({ seconds: 4, tone: 1000, container: "ts" });
      const { tls, file: certificate } = await identity();
      trust(certificate, name);
      await using server = await LoopbackServer.http(filesOf(join(file, "..")), tls);
      const packets = await readAll(`https://127.0.0.1:${server.port}/${basename(file)}`);
      expect(judgePackets(packets)).toMatchObject({ ...EVERY, first: 0, last: 119 });
      expect(toneOf(packets, 1000)).toBeGreaterThan(-20);
    });
  }

  test.each([true, false])("an input that tells its length is finite, any other is not: %s", async (told) => {
    const file = await counterVideo({ seconds: 4, tone: 1000, container: "ts" });
    const { tls, file: certificate } = await identity();
    trust(certificate);
    await using server = await LoopbackServer.http((_, response) => {
      const bytes = readFileSync(file);
      if (told) response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, 1000));
      response.end(bytes.subarray(1000));
    }, tls);
    const input = pull(`https://127.0.0.1:${server.port}/x.ts`);
    for await (const _ of input);
    expect(input.isFinite).toBe(told);
  });

  test("user and password in the URL", async () => {
    const file = await counterVideo({ seconds: 4, tone: 1000, container: "ts" });
    const { tls, file: certificate } = await identity();
    trust(certificate);
    const right = `Basic ${Buffer.from("bob:p4ss").toString("base64")}`;
    await using server = await LoopbackServer.http((request, response) => {
      if (request.headers.authorization === right) filesOf(join(file, ".."))(request, response);
      else response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
    }, tls);
    const at = `127.0.0.1:${server.port}/${basename(file)}`;
    expect(judgePackets(await readAll(`https://bob:p4ss@${at}`))).toMatchObject({ ...EVERY, last: 119 });
    const { code, message } = await failure(readAll(`https://bob:wr0ng@${at}`));
    expect(code).toBe("ERR_PEER_REJECTED");
    expect(message).not.toContain("wr0ng");
  });

  const untrusted = [
    { name: "nobody trusts", host: "localhost", subjects: undefined, trusted: false },
    { name: "nobody trusts, at an address", host: "127.0.0.1", subjects: undefined, trusted: false },
    { name: "is for another name", host: "localhost", subjects: "DNS:example.org", trusted: true },
    { name: "is for another address", host: "127.0.0.1", subjects: "IP:127.0.0.9", trusted: true },
  ];
  for (const { name, host, subjects, trusted } of untrusted) {
    test(`a certificate that ${name}`, async () => {
      let asked = 0;
      const { tls, file } = await identity(subjects);
      if (trusted) trust(file);
      await using server = await LoopbackServer.http((_, response) => {
        asked += 1;
        response.end();
      }, tls);
      const reading = readAll(`https://${host}:${server.port}/x.ts?key=secret`);
      expect(await failure(reading)).toMatchObject(UNTRUSTED);
      expect(asked).toBe(0);
    });
  }

  /** A playlist and its segments, made once. */
  const makeHls = async (): Promise<string> => {
    const made = await mkdtemp(join(folder, "hls-"));
    const file = await counterVideo({ seconds: 4, tone: 1000, codec: ["-g", "30"], container: "ts" });
    const hls = ["-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod"];
    await writeFile(join(made, "list.key"), "0123456789abcdef");
    await writeFile(join(made, "key.info"), `list.key\n${join(made, "list.key")}\n`);
    const key = ["-hls_key_info_file", join(made, "key.info")];
    await runToEnd("ffmpeg", [
      "-v",
      "error",
      "-i",
      file,
      "-c",
      "copy",
      ...hls,
      ...key,
      join(made, "list.m3u8"),
    ]);
    expect((await readdir(made)).filter((name) => name.endsWith(".ts")).length).toBeGreaterThan(2);
    return made;
  };

  test("HLS with its key and segments", async () => {
    const made = await makeHls();
    const { tls, file } = await identity();
    trust(file);
    await using server = await LoopbackServer.http(filesOf(made), tls);
    const packets = await readAll(`https://localhost:${server.port}/list.m3u8`);
    expect(judgePackets(packets)).toMatchObject({ ...EVERY, first: 0, last: 119 });
    expect(toneOf(packets, 1000)).toBeGreaterThan(-20);
  });

  test("segments of a server that is not trusted, in a playlist of one that is", async () => {
    const made = await makeHls();
    const [good, bad] = [await identity(), await identity()];
    trust(good.file);
    let asked = 0;
    await using other = await LoopbackServer.http((_, response) => {
      asked += 1;
      response.end();
    }, bad.tls);
    const list = readFileSync(join(made, "list.m3u8"), "utf8");
    const leading = list.replace(/^(list\d+\.ts)$/gm, `https://127.0.0.1:${other.port}/$1`);
    await using server = await LoopbackServer.http(
      (request, response) =>
        request.url === "/list.m3u8" ? response.end(leading) : filesOf(made)(request, response),
      good.tls,
    );
    expect(await failure(readAll(`https://127.0.0.1:${server.port}/list.m3u8`))).toMatchObject(UNTRUSTED);
    expect(asked).toBe(0);
  });
});

requirePeer(
  "ffmpeg",
  "openssl",
  "stunnel",
  "nginx-rtmp",
)("RTMPS", () => {
  const publish = (file: string, url: string): Promise<Program> =>
    Program.start("ffmpeg", ["-v", "error", "-re", "-i", file, "-c", "copy", "-f", "flv", url]);

  test("every picture and the sound, by stunnel from nginx; and nothing from one that is not trusted", async () => {
    const file = await counterVideo({ seconds: 20, tone: 1000, codec: ["-g", "30"] });
    await using nginx = await Nginx.open();
    await using stunnel = await Stunnel.open(nginx.rtmpPort);
    await using _ = await publish(file, `${nginx.url}/key`);
    await until("the stream is there", () => nginx.stream("key"));
    const url = `rtmps://localhost:${stunnel.port}/live/key`;
    const untrusted = await failure(readAll(url));
    expect(untrusted).toMatchObject(UNTRUSTED);
    expect((await nginx.stream("key"))?.clients).toBe(1);
    trust(stunnel.certificate);
    const packets = await readAll(url, { count: 120 });
    expect(judgePackets(packets)).toMatchObject(EVERY);
    expect(toneOf(packets, 1000)).toBeGreaterThan(-20);
  });
});

requirePeer(
  "ffmpeg",
  "openssl",
  "stunnel",
  "gstreamer",
  "gst-rtsp-server",
)("RTSPS", () => {
  test("every picture and the sound, by stunnel; and nothing from one that is not trusted", async () => {
    const file = await counterVideo({ seconds: 5, tone: 1000 });
    await using server = await RtspServer.open(file, await freePort());
    await using stunnel = await Stunnel.open(server.port);
    const url = server.url.replace("rtsp:", "rtsps:").replace(`${server.port}`, `${stunnel.port}`);
    expect(await failure(readAll(url))).toMatchObject(UNTRUSTED);
    trust(stunnel.certificate);
    const packets = await readAll(url, { count: 120 });
    expect(judgePackets(packets)).toMatchObject({ ...EVERY, first: 0 });
    expect(toneOf(packets, 1000)).toBeGreaterThan(-20);
  });
});
