import { Transform, type TransformCallback } from "node:stream";
import { RtspReader } from "../protocol/rtsp.ts";

/** Lets through what a RTSP server sends, up to its first redirect: FFmpeg would follow it to any address. */
export class RtspGuard extends Transform {
  readonly #reader = new RtspReader();

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      const bytes = this.#reader.push(chunk);
      if (bytes.length > 0) this.push(bytes);
      done();
    } catch (error) {
      done(error as Error);
    }
  }
}
