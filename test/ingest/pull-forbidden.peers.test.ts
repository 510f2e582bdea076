import { expect, test } from "vitest";
import { counterVideo, makeMedia } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort } from "../kit/process.ts";
import { RtspServer } from "../kit/rtsp-server.ts";
import { LoopbackServer } from "./loopback.ts";
import { failure, judgePackets, readAll } from "./pulling.ts";

/** A node that may reach 127.0.0.1, and nothing else of loopback. */
const RULES = { destinations: { allow: ["127.0.0.1"], loopback: false } };

/** A server that a forbidden address has, to see that nobody comes. */
const victimOf = (): Promise<LoopbackServer> => LoopbackServer.tcp(undefined, "127.0.0.2");

/** A playlist of one entry, with these lines before it. */
const playlist = (entry: string, ...lines: readonly string[]): string =>
  [
    "#EXTM3U",
    "#EXT-X-VERSION:7",
    "#EXT-X-TARGETDURATION:9",
    ...lines,
    "#EXTINF:9,",
    entry,
    "#EXT-X-ENDLIST",
    "",
  ].join("\n");

requirePeer("ffmpeg")("HTTP never leads to an address that is not allowed", () => {
  const leads = [
    { name: "a redirect", at: (to: string) => ({ location: `http://${to}/x.ts` }), code: "ERR_FORBIDDEN" },
    {
      name: "a redirect to TLS",
      at: (to: string) => ({ location: `https://${to}/x.ts` }),
      code: "ERR_FORBIDDEN",
    },
    { name: "a redirect to raw TCP", at: (to: string) => ({ location: `tcp://${to}` }) },
    { name: "a redirect to RTMP", at: (to: string) => ({ location: `rtmp://${to}/live/x` }) },
    { name: "a segment", at: (to: string) => playlist(`http://${to}/x.ts`), code: "ERR_FORBIDDEN" },
    { name: "a segment by TLS", at: (to: string) => playlist(`https://${to}/x.ts`), code: "ERR_FORBIDDEN" },
    { name: "a segment by TCP", at: (to: string) => playlist(`tcp://${to}`) },
    { name: "a segment through a proxy", at: (to: string) => playlist(`httpproxy://${to}/x`) },
    { name: "a segment by RTMP", at: (to: string) => playlist(`rtmp://${to}/live/x`) },
    { name: "a segment by UDP", at: (to: string) => playlist(`udp://${to}`) },
    { name: "a deciphered segment", at: (to: string) => playlist(`crypto+http://${to}/x.ts`) },
    {
      name: "concatenated segments",
      at: (to: string) => playlist(`concat:http://${to}/x.ts|http://${to}/y.ts`),
    },
    {
      name: "a key",
      at: (to: string) => playlist("/good.ts", `#EXT-X-KEY:METHOD=AES-128,URI="http://${to}/key"`),
    },
    {
      name: "an initialisation",
      at: (to: string) => playlist("/good.ts", `#EXT-X-MAP:URI="http://${to}/i.mp4"`),
    },
    {
      name: "a variant",
      at: (to: string) => `#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://${to}/v.m3u8\n`,
      code: "ERR_FORBIDDEN",
    },
  ];
  for (const { name, at, code } of leads) {
    test(name, async () => {
      await using victim = await victimOf();
      const answer = at(victim.address);
      await using server = await LoopbackServer.http((request, response) => {
        if (request.url === "/good.ts") response.writeHead(200).end(Buffer.alloc(188));
        else if (typeof answer === "string")
          response.writeHead(200, { "content-type": "application/vnd.apple.mpegurl" }).end(answer);
        else response.writeHead(302, answer).end();
      });
      const failed = await failure(readAll(`http://${server.address}/list.m3u8`, RULES));
      expect(failed.code).toMatch(code ?? /ERR_(FORBIDDEN|MEDIA_INVALID|PEER_UNREACHABLE)/);
      expect(server.connections).toBeGreaterThan(0);
      expect(victim.connections).toBe(0);
    });
  }

  for (const scheme of [
    "file://",
    "file:",
    "crypto+file://",
    "concat:",
    "subfile,,start,0,end,0,,:",
    "async:",
  ]) {
    test(`a playlist does not open a file by ${scheme}`, async () => {
      const secret = await makeMedia(["-f", "lavfi", "-i", "testsrc2=d=1", "-c:v", "libx264"], "ts");
      await using server = await LoopbackServer.http((_, response) =>
        response
          .writeHead(200, { "content-type": "application/vnd.apple.mpegurl" })
          .end(playlist(`${scheme}${secret}`)),
      );
      const { code } = await failure(readAll(`http://${server.address}/list.m3u8`, RULES));
      expect(code).toBe("ERR_MEDIA_INVALID");
    });
  }
});

/** A RTSP server that answers every request alike. */
const answering = (answer: string): Promise<LoopbackServer> =>
  LoopbackServer.tcp((socket) => {
    socket.on("data", (bytes) => {
      const [, number = "1"] = /CSeq: (\d+)/i.exec(bytes.toString("latin1")) ?? [];
      socket.write(answer.replaceAll("CSEQ", number));
    });
  });

const moved = (to: string): string => `RTSP/1.0 302 Moved\r\nCSeq: CSEQ\r\nLocation: ${to}\r\n\r\n`;

requirePeer(
  "ffmpeg",
  "gstreamer",
  "gst-rtsp-server",
)("RTSP never leads to an address that is not allowed", () => {
  const leads = [
    { name: "a redirect", answer: (to: string) => moved(`rtsp://${to}/x`), code: "ERR_FORBIDDEN" },
    { name: "a redirect to TLS", answer: (to: string) => moved(`rtsps://${to}/x`), code: "ERR_FORBIDDEN" },
    { name: "a redirect to HTTP", answer: (to: string) => moved(`http://${to}/x`), code: "ERR_FORBIDDEN" },
    {
      name: "a redirect behind a body that is not as long as one reader thinks",
      answer: (to: string) => {
        const hidden = moved(`rtsp://${to}/x`);
        return `RTSP/1.0 200 OK\r\nCSeq: CSEQ\r\nContent-Length: ${hidden.length}\r\nContent-Length: 0\r\n\r\n${hidden}`;
      },
      code: "ERR_PROTOCOL",
    },
    {
      name: "a redirect behind a line of another kind",
      answer: (to: string) => `$\r\n\r\n${moved(`rtsp://${to}/x`)}`,
      code: /ERR_(PROTOCOL|PEER_UNREACHABLE)/,
    },
  ];
  for (const { name, answer, code } of leads) {
    test(name, async () => {
      await using victim = await victimOf();
      await using server = await answering(answer(victim.address));
      const reading = readAll(`rtsp://${server.address}/x`, { ...RULES, openTimeoutMs: 2000 });
      expect((await failure(reading)).code).toMatch(code);
      expect(server.connections).toBeGreaterThan(0);
      expect(victim.connections).toBe(0);
    });
  }

  test("a redirect to one that is allowed is followed", async () => {
    const file = await counterVideo({ seconds: 5, tone: 1000 });
    await using target = await RtspServer.open(file, await freePort());
    await using server = await answering(moved(target.url));
    const packets = await readAll(`rtsp://${server.address}/x`, { ...RULES, count: 40 });
    expect(judgePackets(packets)).toMatchObject({ unreadable: 0, missed: [] });
  });

  test("redirects in a circle end", async () => {
    await using server = await LoopbackServer.tcp((socket) => {
      socket.on("data", () => socket.write(moved(`rtsp://${server.address}/x`).replace("CSEQ", "1")));
    });
    expect(await failure(readAll(`rtsp://${server.address}/x`, RULES))).toMatchObject({
      code: "ERR_PROTOCOL",
    });
    expect(server.connections).toBeLessThan(10);
  });
});
