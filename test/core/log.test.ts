import { expect, test } from "vitest";
import { redactUrl } from "../../src/core/log.ts";

test.each([
  ["https://user:secret@example.org/live.m3u8?token=secret", "https://example.org/live.m3u8"],
  ["rtsp://user:se@cret@camera:554/stream", "rtsp://camera:554/stream"],
  ["rtsp://user:secret@[2001:db8::1]/stream#secret", "rtsp://[2001:db8::1]/stream"],
  ["rtmps://example.org/live/secret?key=secret", "rtmps://example.org/live/…"],
  ["srt://example.org:9000?passphrase=secret", "srt://example.org:9000"],
  ["https://example.org/a@b", "https://example.org/a@b"],
  ["/media/file.mp4", "/media/file.mp4"],
])("%s is told as %s", (url, told) => {
  expect(redactUrl(url)).toBe(told);
});
