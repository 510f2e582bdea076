import { describe, expect, test } from "vitest";
import { openPull } from "../../src/ingest/pull.ts";
import { pinAddress, planPull } from "../../src/ingest/pull-plan.ts";
import { LiveClock } from "../../src/media/clock.ts";

const plan = (url: string): ReturnType<typeof planPull> => planPull(url, 1_000_000);

describe("what is not pulled", () => {
  const refused = [
    { url: "srt://203.0.113.9:9000?mode=listener", code: "ERR_INVALID_ARGUMENT" },
    { url: "srt://203.0.113.9:9000?latency=20&mode=listener", code: "ERR_INVALID_ARGUMENT" },
    { url: "srt://203.0.113.9:9000/?mode=caller&mode=listener", code: "ERR_INVALID_ARGUMENT" },
    { url: "srt://203.0.113.9:9000?mode=rendezvous", code: "ERR_INVALID_ARGUMENT" },
    { url: "srt://203.0.113.9:9000#?mode=listener", code: "ERR_INVALID_ARGUMENT" },
    { url: "srt://:9000?mode=listener", code: "ERR_INVALID_ARGUMENT" },
    { url: "rtsp://203.0.113.9/x?udp", code: "ERR_INVALID_ARGUMENT" },
    { url: "rtsp://203.0.113.9/x?channel=1&multicast", code: "ERR_INVALID_ARGUMENT" },
    { url: "udp://203.0.113.9:1234", code: "ERR_NOT_SUPPORTED" },
    { url: "concat:http://203.0.113.9/a|http://203.0.113.9/b", code: "ERR_INVALID_ARGUMENT" },
  ];
  for (const { url, code } of refused) {
    test(url, () => {
      const open = (): unknown =>
        openPull({ url, clock: new LiveClock(), destinations: { allow: [], loopback: true } });
      expect(open).toThrow(expect.objectContaining({ code, fault: "caller" }));
    });
  }
});

describe("what is pulled", () => {
  test.each([
    ["srt://203.0.113.9:9000?mode=caller&streamid=live/x", "address"],
    ["srt://203.0.113.9:9000?passphrase=mode", "address"],
    ["rtmp://203.0.113.9/live/x", "address"],
    ["rtmps://203.0.113.9/live/x", "proxy"],
    ["https://203.0.113.9/x.m3u8?udp", "proxy"],
    ["rtsp://203.0.113.9/cam?channel=1&subtype=0", "relay"],
    ["rtsps://203.0.113.9/cam", "relay"],
  ])("%s by %s", (url, via) => {
    expect(plan(url).via).toBe(via);
  });

  test("the checked address takes the host's place, and RTMP still names the host", () => {
    const url = "rtmp://user:p@ss@example.org:1936/app/inst/key?a=b";
    const pinned = pinAddress(url, "2001:db8::1", plan(url));
    expect(pinned.url).toBe("rtmp://user:p@ss@[2001:db8::1]:1936/app/inst/key?a=b");
    expect(pinned.plan.extra.rtmp_tcurl).toBe("rtmp://example.org:1936/app/inst");
  });
});
