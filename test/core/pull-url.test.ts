import { describe, expect, test } from "vitest";
import { isLocal, localPath } from "../../src/core/pull-url.ts";

describe("what a pull's URL names", () => {
  const cases = [
    { url: "/media/a b.mp4", path: "/media/a b.mp4" },
    { url: "media/100%25.mp4", path: "media/100%25.mp4" },
    { url: "file:///media/a%20b.mp4", path: "/media/a b.mp4" },
    { url: "FILE:///media/%C3%A9%23%3F.mp4", path: "/media/é#?.mp4" },
    { url: "file:///media/a.mp4?x#y", path: "/media/a.mp4" },
    { url: "file://localhost/media/a.mp4", path: "/media/a.mp4" },
    { url: "https://host/a%20b.mp4", path: undefined },
    { url: "rtsp://host/file", path: undefined },
    { url: "subfile:,,start,0,end,9,,:/etc/passwd", path: undefined },
  ];
  test.each(cases)("$url: $path", ({ url, path }) => {
    expect(localPath(url, "/url")).toBe(path);
    expect(isLocal(url)).toBe(path !== undefined);
  });

  test.each(["file://host/share", "file:///a%2Fb", "file:///a%00b", "a\0b"])("%j is no file", (url) => {
    expect(() => localPath(url, "/sources/0/url")).toThrow(/^\/sources\/0\/url: is not a/);
  });
});
