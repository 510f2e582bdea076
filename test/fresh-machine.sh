#!/bin/bash
# Proves the README's two commands on a machine that has Node and npm and nothing else: a minimal Debian made with
# debootstrap, whose Node is the one Debian ships. Anyone may run it; it needs root, debootstrap and util-linux.
#
#   sudo test/fresh-machine.sh [--fast] [--keep DIR] [--suite bookworm]
#
#   --fast       npm run test:fast in place of npm test
#   --keep DIR   make the root in DIR and leave it there; a root that is there already is used again
#   --suite S    Debian's release, default bookworm
#
# Package mirrors, npm settings and certificates are those of this machine, copied into the root.
set -euo pipefail

suite=bookworm
tests="npm test"
keep=
while [ $# -gt 0 ]; do
  case $1 in
    --fast) tests="npm run test:fast" ;;
    --keep) keep=$2; shift ;;
    --suite) suite=$2; shift ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift
done
[ "$(id -u)" -eq 0 ] || { echo "fresh-machine: needs root, for debootstrap and chroot" >&2; exit 2; }
command -v debootstrap > /dev/null || { echo "fresh-machine: apt-get install debootstrap" >&2; exit 2; }

project=$(cd "$(dirname "$0")/.." && pwd)
root=${keep:-$(mktemp -d /var/tmp/tessera-fresh.XXXXXX)}
cleanup() { [ -n "$keep" ] || rm -rf --one-file-system "$root"; }
trap cleanup EXIT

# The first mirror that this machine's own apt uses; debootstrap has a default of its own.
mirror() {
  cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2> /dev/null |
    sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb (\[[^]]*\] )?([^ ]+) .*/\2/p' | head -n 1
}

# $1 is a file or folder of this machine that may not exist; it comes to the same place in the root.
bring() {
  for path in "$@"; do
    [ -e "$path" ] || continue
    mkdir -p "$root$(dirname "$path")"
    cp -aL --no-target-directory "$path" "$root$path"
  done
}

if [ ! -e "$root/usr/bin/npm" ]; then
  echo "== a minimal Debian $suite with Debian's nodejs and npm"
  debootstrap --variant=minbase "$suite" "$root" $(mirror) > "$root.log" 2>&1 || { tail -n 20 "$root.log"; exit 1; }
  rm -f "$root.log"
  rm -rf "$root/etc/apt/sources.list" "$root/etc/apt/sources.list.d"
  bring /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/auth.conf.d /etc/apt/keyrings /usr/share/keyrings
fi
bring /etc/resolv.conf /etc/hosts /etc/npmrc /usr/etc/npmrc /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates
[ ! -e "$HOME/.npmrc" ] || cp -L "$HOME/.npmrc" "$root/root/.npmrc"

echo "== the project as it stands here, without what git ignores"
rm -rf "$root/tessera" "$root/root/.npm"
mkdir "$root/tessera"
git -C "$project" ls-files -co --exclude-standard -z |
  tar -C "$project" --null --ignore-failed-read -cf - -T - 2> /dev/null | tar -C "$root/tessera" -xf -

cat > "$root/tessera-check.sh" <<'INSIDE'
set -eu
cd /tessera
command -v npm > /dev/null || {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm ca-certificates > /dev/null
}
echo "== node $(node --version), npm $(npm --version), $(dpkg -l | grep -c ^ii) Debian packages"

echo "== npm start"
npm start > /tmp/start.log 2>&1 &
pid=$!
node --input-type=module - "$pid" <<'LOOK' || { tail -n 40 /tmp/start.log; exit 1; }
import { setTimeout as sleep } from "node:timers/promises";
const base = `http://${process.env.TESSERA_HTTP}`;
const pid = Number(process.argv[2]);
const startedMs = Date.now();
const seconds = () => `${((Date.now() - startedMs) / 1000).toFixed(1)} s`;
const get = (path) => fetch(base + path).then(async (answer) => [answer.ok, Buffer.from(await answer.arrayBuffer())], () => [false]);
async function until(what, condition, limitS) {
  while (!(await condition())) {
    try { process.kill(pid, 0); } catch { throw new Error(`npm start ended before ${what}`); }
    if (Date.now() - startedMs > limitS * 1000) throw new Error(`${what}: not within ${limitS} s`);
    await sleep(200);
  }
  console.log(`   ${what} after ${seconds()}`);
}
await until("/healthz answers", async () => (await get("/healthz"))[0], 600);
await until("the snapshot is a JPEG", async () => {
  const [ok, bytes] = await get("/snapshot/demo/main.jpg");
  return ok && bytes.length > 2000 && bytes.readUInt16BE(0) === 0xffd8 && bytes.readUInt16BE(bytes.length - 2) === 0xffd9;
}, 660);
await until("the page is there", async () => String((await get("/"))[1]).includes("<html"), 660);
LOOK
kill -TERM "$pid"
wait "$pid" || true
! node -e "fetch(\"http://$TESSERA_HTTP/healthz\").then(() => {}, () => process.exit(1))" || { echo "it lives on after SIGTERM"; exit 1; }

echo "== $TESTS"
started=$(date +%s)
$TESTS
echo "== $TESTS passed in $(($(date +%s) - started)) s"
INSIDE

# Proxies and certificates come along; nothing else of this machine's environment does.
mapfile -t passed < <(env | grep -iE '^(https?_proxy|no_proxy|npm_config_(registry|cafile|https?_proxy)|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|CI)=' || true)
port=$((20000 + RANDOM % 20000))
environment=(
  HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb
  "TESTS=$tests" "TESSERA_HTTP=127.0.0.1:$port" "TESSERA_RTMP=127.0.0.1:$((port + 1))" "${passed[@]}"
)
# Namespaces of its own for mounts and processes: whatever is left over goes when the script inside ends.
mounts='for folder in dev/shm tmp; do mkdir -p "$0/$folder" && mount -t tmpfs tmpfs "$0/$folder" || exit; done'
unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" \
  sh -c "$mounts; exec env -i \"\$@\"" \
  "$root" "${environment[@]}" chroot "$root" sh /tessera-check.sh
echo "== both commands work on a fresh machine"
