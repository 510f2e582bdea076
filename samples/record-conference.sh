#!/bin/sh
# Mixes the files given on the command line into conference.mp4, as fast as the machine allows.
#
#     sh samples/record-conference.sh anna.mp4 ben.mkv chen.webm
set -eu
for file in "$@"; do set -- "$@" --in "$file"; shift; done
exec npm run --silent tessera -- mix "$@" --layout grid --fast --overwrite --out conference.mp4
