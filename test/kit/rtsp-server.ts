import { fileURLToPath } from "node:url";
import { Program } from "./process.ts";

/** Debian's, which has the bindings; a Python found first in the path may be another. */
const PYTHON = "/usr/bin/python3";
const SCRIPT = fileURLToPath(new URL("rtsp-server.py", import.meta.url));

/** What every {@link RtspServer} asks for, by digest; the password is one that people forget to escape. */
export const RTSP_LOGIN = { user: "bob", password: "p4ss@1" } as const;

/** gst-rtsp-server on loopback: plays an MP4 in real time, each client from the beginning. */
export class RtspServer implements AsyncDisposable {
  readonly port: number;
  /** With the right user and password. */
  readonly url: string;
  readonly #program: Program;

  /** @param file an MP4 with H.264 and AAC. */
  static async open(file: string, port: number): Promise<RtspServer> {
    const { user, password } = RTSP_LOGIN;
    const program = await Program.start(PYTHON, [SCRIPT, `${port}`, file, user, password]);
    await program.waitFor(/listening/);
    return new RtspServer(program, port);
  }

  private constructor(program: Program, port: number) {
    this.#program = program;
    this.port = port;
    this.url = `rtsp://${RTSP_LOGIN.user}:${RTSP_LOGIN.password}@127.0.0.1:${port}/file`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}
