import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TesseraError } from "../../src/core/error.ts";
import { RtspGuard } from "../../src/ingest/rtsp-guard.ts";
import { RtspRedirect } from "../../src/protocol/rtsp.ts";

/** Sends chunks through a guard; what came out of it, and why it stopped. */
async function guarded(
  ...chunks: readonly Buffer[]
): Promise<{ readonly out: Buffer; readonly error: unknown }> {
  const guard = new RtspGuard();
  const out: Buffer[] = [];
  guard.on("data", (bytes: Buffer) => out.push(bytes));
  const ended = new Promise((resolve) => guard.once("error", resolve).once("end", () => resolve(undefined)));
  for (const chunk of chunks) guard.write(chunk);
  guard.end();
  return { error: await ended, out: Buffer.concat(out) };
}

const text = (...lines: readonly string[]): Buffer => Buffer.from(lines.join("\r\n"));
const frame = (length: number): Buffer =>
  Buffer.concat([Buffer.from([0x24, 1, length >> 8, length & 255]), Buffer.alloc(length, 0x0a)]);

const OK = text("RTSP/1.0 200 OK", "CSeq: 1", "", "");
const DESCRIBED = text("RTSP/1.0 200 OK", "content-length: 5", "", "v=0\r\n");
const MOVED = text("RTSP/1.0 302 Moved", "Location: rtsp://there/x", "", "");

describe("RtspGuard", () => {
  const session = Buffer.concat([
    ...[OK, DESCRIBED, frame(0), frame(300), OK, frame(7)],
    Buffer.from("OPTIONS rtsp://here RTSP/1.0\nCSeq: 9\n\n"),
    ...[text("RTSP/1.0 401 Unauthorized", "WWW-Authenticate: Digest realm=x", "Content-Length: 0", "", "")],
  ]);

  test("a session passes as it is, however it is cut", async () => {
    for (let at = 0; at <= session.length; at++) {
      const { out, error } = await guarded(session.subarray(0, at), session.subarray(at));
      expect(error).toBeUndefined();
      expect(out.equals(session)).toBe(true);
    }
  });

  test("a redirect is not passed, and what came before it is", async () => {
    const { out, error } = await guarded(Buffer.concat([session, MOVED]));
    expect(error).toBeInstanceOf(RtspRedirect);
    expect(error).toMatchObject({ code: "ERR_PROTOCOL", location: "rtsp://there/x" });
    expect(out.length === 0 || out.equals(session)).toBe(true);
  });

  test("a redirect that says no place", async () => {
    const { error } = await guarded(text("RTSP/1.0 304 Not Modified", "", ""));
    expect(error).toMatchObject({ code: "ERR_PROTOCOL", location: undefined });
  });

  const ambiguous = [
    { name: "two lengths", bytes: text("RTSP/1.0 200 OK", "Content-Length: 0", "Content-Length: 9", "", "") },
    { name: "a length with a sign", bytes: text("RTSP/1.0 200 OK", "Content-Length: -1", "", "") },
    { name: "a length in hexadecimal", bytes: text("RTSP/1.0 200 OK", "Content-Length: 0x10", "", "") },
    { name: "a length with a space before it", bytes: text("RTSP/1.0 200 OK", " Content-Length: 4", "", "") },
    { name: "a body of a gigabyte", bytes: text("RTSP/1.0 200 OK", "Content-Length: 9999999", "", "") },
    { name: "a frame between the lines", bytes: text("RTSP/1.0 200 OK", "$", "", "") },
    { name: "a return within a line", bytes: text("RTSP/1.0 200 OK", "A: b\rLocation: x", "", "") },
    { name: "a zero in a line", bytes: text("RTSP/1.0 200 OK\0", "", "") },
    { name: "a status that hides", bytes: text(" RTSP/1.0 302 Moved", "", "") },
    { name: "an empty first line", bytes: Buffer.concat([Buffer.from("\r\n"), MOVED]) },
    { name: "no end of a line", bytes: Buffer.alloc(20_000, 0x41) },
    { name: "no end of the lines", bytes: Buffer.from(`RTSP/1.0 200 OK\r\n${"A: b\r\n".repeat(4000)}`) },
  ];
  for (const { name, bytes } of ambiguous) {
    test(`${name} ends it`, async () => {
      const { out, error } = await guarded(bytes);
      expect(error).toMatchObject({ code: "ERR_PROTOCOL" });
      expect(out.length).toBe(0);
    });
  }

  test("whatever comes, it fails with words or passes a beginning of it", async () => {
    const pieces = fc.array(
      fc.oneof(
        ...[OK, DESCRIBED, MOVED, frame(2), Buffer.from("$"), Buffer.from("\r\n")].map(fc.constant),
        fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
      ),
      { maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(pieces, async (chunks) => {
        const { out, error } = await guarded(...chunks);
        expect(error === undefined || error instanceof TesseraError).toBe(true);
        expect(Buffer.concat(chunks).subarray(0, out.length).equals(out)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
