import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "./peers.ts";
import { freePort, Program, runToEnd, until } from "./process.ts";

/** What nginx's statistics page says about one stream. */
export interface NginxStream {
  readonly name: string;
  /** How long it has been there. */
  readonly timeMs: number;
  readonly bytesIn: number;
  readonly isPublishing: boolean;
  /** Connections to it: its publisher and its players. */
  readonly clients: number;
  readonly video?: {
    readonly codec: string;
    readonly width: number;
    readonly height: number;
    readonly fps: number;
  };
  readonly audio?: { readonly codec: string; readonly sampleRate: number; readonly channels: number };
}

export interface NginxOptions {
  /** Records every stream as FLV; see {@link Nginx.recordings}. */
  readonly record?: boolean;
  /** Lines inside `application live { }`, e.g. `on_publish http://127.0.0.1:1234/;`. */
  readonly application?: string;
  readonly maxMs?: number;
}

/** nginx with its RTMP module on free ports of loopback, in a folder of its own, gone after disposal. */
export class Nginx implements AsyncDisposable {
  /** `rtmp://127.0.0.1:PORT/live`; add `/KEY`. */
  readonly url: string;
  readonly rtmpPort: number;
  readonly pid: number;
  readonly #program: Program;
  readonly #httpPort: number;
  readonly #folder: string;

  static async open(options: NginxOptions = {}): Promise<Nginx> {
    const binary = findProgram("nginx");
    if (!binary) throw new Error("nginx is not installed");
    const folder = mkdtempSync(join(tmpdir(), "tessera-nginx-"));
    mkdirSync(join(folder, "rec"));
    const [rtmpPort, httpPort] = [await freePort(), await freePort()];
    const file = join(folder, "nginx.conf");
    writeFileSync(file, configOf(folder, rtmpPort, httpPort, options));
    const program = await Program.start(binary, ["-e", join(folder, "error.log"), "-p", folder, "-c", file], {
      maxMs: options.maxMs ?? 600_000,
    });
    const nginx = new Nginx(program, folder, rtmpPort, httpPort);
    try {
      await until("nginx answers", () =>
        program.hasExited ? nginx.#fail() : nginx.streams().catch(() => null),
      );
    } catch (error) {
      await nginx[Symbol.asyncDispose]();
      throw error;
    }
    return nginx;
  }

  private constructor(program: Program, folder: string, rtmpPort: number, httpPort: number) {
    this.#program = program;
    this.#folder = folder;
    this.#httpPort = httpPort;
    this.rtmpPort = rtmpPort;
    this.pid = program.pid;
    this.url = `rtmp://127.0.0.1:${rtmpPort}/live`;
  }

  /** All streams that nginx knows now. */
  async streams(): Promise<NginxStream[]> {
    const page = await (await fetch(`http://127.0.0.1:${this.#httpPort}/stat`)).text();
    if (!page.includes("<rtmp>")) throw new Error(`not a statistics page: ${page.slice(0, 200)}`);
    return parseStat(page);
  }

  /** One stream by its key, or nothing. */
  async stream(name: string): Promise<NginxStream | undefined> {
    return (await this.streams()).find((one) => one.name === name);
  }

  /** Closes the connection of a stream's publisher. @returns how many were closed. */
  async dropPublisher(name: string): Promise<number> {
    const url = `http://127.0.0.1:${this.#httpPort}/control/drop/publisher?app=live&name=${name}`;
    return Number(await (await fetch(url)).text());
  }

  /** FLV files recorded so far, oldest first; complete once their publisher is gone. Only with `record`. */
  recordings(): string[] {
    const folder = join(this.#folder, "rec");
    return readdirSync(folder)
      .sort()
      .map((name) => join(folder, name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #fail(): never {
    throw new Error(`nginx ended: ${this.#program.stderr}`);
  }
}

/**
 * A certificate signed by itself, by default for 127.0.0.1 and localhost.
 *
 * @param subjects as OpenSSL writes them: `DNS:localhost,IP:127.0.0.1`.
 * @returns paths of PEM files inside `folder`.
 */
export async function makeCertificate(
  folder: string,
  subjects = "DNS:localhost,IP:127.0.0.1",
): Promise<{ readonly cert: string; readonly key: string }> {
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const names = ["-subj", "/CN=localhost", "-addext", `subjectAltName=${subjects}`];
  const kind = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
  ];
  await runToEnd("openssl", [...kind, ...names, "-keyout", key, "-out", cert]);
  return { cert, key };
}

/** stunnel: TLS on a free port of loopback in front of a plain port, e.g. RTMPS in front of {@link Nginx}. */
export class Stunnel implements AsyncDisposable {
  readonly port: number;
  /** The certificate that it shows, as a PEM file: what a client has to trust. */
  readonly certificate: string;
  readonly #program: Program;
  readonly #folder: string;

  static async open(upstreamPort: number): Promise<Stunnel> {
    const folder = mkdtempSync(join(tmpdir(), "tessera-stunnel-"));
    const { cert, key } = await makeCertificate(folder);
    const port = await freePort();
    const file = join(folder, "stunnel.conf");
    const service = `[rtmps]\naccept=127.0.0.1:${port}\nconnect=127.0.0.1:${upstreamPort}\ncert=${cert}\nkey=${key}\n`;
    writeFileSync(file, `foreground=yes\npid=\n${service}`);
    const binary = findProgram("stunnel4", "stunnel") ?? "stunnel";
    const program = await Program.start(binary, [file], { maxMs: 600_000 });
    await program.waitFor(/Configuration successful/);
    return new Stunnel(program, folder, port, cert);
  }

  private constructor(program: Program, folder: string, port: number, certificate: string) {
    this.#program = program;
    this.#folder = folder;
    this.port = port;
    this.certificate = certificate;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function configOf(folder: string, rtmpPort: number, httpPort: number, options: NginxOptions): string {
  const record = options.record ? `record all; record_path ${folder}/rec; record_unique on;` : "record off;";
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(" ");
  // One process and no master: the pid we hold is the one that serves, so SIGSTOP stops what it should.
  return `
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; pid ${folder}/nginx.pid;
${process.getuid?.() === 0 ? "user root;" : ""}
events { worker_connections 512; }
rtmp { access_log off; server { listen 127.0.0.1:${rtmpPort}; chunk_size 4096;
  application live { live on; ${record} ${options.application ?? ""} } } }
http { access_log off; ${temporary}
  server { listen 127.0.0.1:${httpPort};
    location /stat { rtmp_stat all; }
    location /control { rtmp_control all; } } }
`;
}

function parseStat(page: string): NginxStream[] {
  return [...page.matchAll(/<stream>(.*?)<\/stream>/gs)].map(([, stream = ""]) => {
    const video = /<meta>.*?<video>(.*?)<\/video>/s.exec(stream)?.[1];
    const audio = /<meta>.*?<audio>(.*?)<\/audio>/s.exec(stream)?.[1];
    const withoutClients = stream.replace(/<client>.*?<\/client>/gs, "");
    return {
      name: textOf(stream, "name"),
      timeMs: Number(textOf(withoutClients, "time")),
      bytesIn: Number(textOf(stream, "bytes_in")),
      isPublishing: stream.includes("<publishing/>"),
      clients: Number(textOf(stream, "nclients")),
      ...(video ? { video: videoOf(video) } : {}),
      ...(audio ? { audio: audioOf(audio) } : {}),
    };
  });
}

const videoOf = (xml: string): NonNullable<NginxStream["video"]> => ({
  codec: textOf(xml, "codec"),
  width: Number(textOf(xml, "width")),
  height: Number(textOf(xml, "height")),
  fps: Number(textOf(xml, "frame_rate")),
});

const audioOf = (xml: string): NonNullable<NginxStream["audio"]> => ({
  codec: textOf(xml, "codec"),
  sampleRate: Number(textOf(xml, "sample_rate")),
  channels: Number(textOf(xml, "channels")),
});

const textOf = (xml: string, tag: string): string =>
  new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)?.[1] ?? "";
