#!/bin/sh
# Checks an unpacked evidence pack by hand: needs sh, sed, openssl 3 and the GNU core utilities.
#
#     sh verify.sh [-r TRUSTED_ROOT_JSON] [FOLDER]
#
# FOLDER is the unpacked pack; without it, the folder of this script. With -r trust begins with that
# file, which you got by another way than the pack. Without it the copy inside the pack is used, and
# the pack only agrees with itself until you have compared the printed SHA-256.
#
# Every pack carries this same script; it holds nothing of the pack that it lies in. Whoever changes
# a pack can change the script too: run one that you have read, or that you had before.
#
# Exit code 0: every check passed. 1: one did not, or the pack can't be read. 2: wrong use.

set -u
LC_ALL=C
export LC_ALL
umask 077

root=
case "${1:-}" in
-r)
    [ $# -ge 2 ] || { echo "verify.sh: -r needs a file" >&2; exit 2; }
    root=$2
    shift 2
    case $root in /*) ;; *) root=$PWD/$root ;; esac
    [ -f "$root" ] || { echo "verify.sh: $root: no such file" >&2; exit 2; }
    ;;
esac
[ $# -le 1 ] || { echo "usage: sh verify.sh [-r TRUSTED_ROOT_JSON] [FOLDER]" >&2; exit 2; }
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
cd "${1:-$here}" || exit 2

for tool in sed openssl sha256sum base64 mktemp wc cat rm; do
    command -v "$tool" >/dev/null || { echo "verify.sh: $tool is not installed" >&2; exit 2; }
done
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

good=0
bad=0
ok() { good=$((good + 1)); printf 'ok      %s\n' "$1"; }
fail() { bad=$((bad + 1)); printf 'FAILED  %s\n' "$1"; }
digest() { sha256sum <"$1" | sed 's/ .*//'; }

# --- the files -----------------------------------------------------------------------------------

# Every file below $1, one path a line; what is no plain file at a plain path is a failure.
walk() {
    for path in "$1"* "$1".[!.]*; do
        if [ -L "$path" ]; then
            fail "$path: expected a regular file, found a link"
        elif [ -d "$path" ]; then
            walk "$path/"
        elif [ -f "$path" ]; then
            case $path in
            *[!A-Za-z0-9._/-]* | .* | */.*) fail "a file whose name is not plain" ;;
            *) printf '%s\n' "$path" >>"$work/files" ;;
            esac
        elif [ -e "$path" ]; then
            fail "$path: expected a regular file, found something else"
        fi
    done
}

: >"$work/files"
walk ""
for needed in SHA256SUMS SHA256SUMS.sigstore.json release-bundle.manifest.json \
    trust/trusted_root.json; do
    [ -f "$needed" ] || { fail "$needed: missing"; echo "NOT VERIFIED"; exit 1; }
done

sed 's/^[0-9a-f]\{64\}  [A-Za-z0-9][A-Za-z0-9._-]*\(\/[A-Za-z0-9][A-Za-z0-9._-]*\)*$//' \
    SHA256SUMS >"$work/odd"
if [ -n "$(sed '/^$/d' "$work/odd")" ]; then
    fail "SHA256SUMS: expected lines of a digest and a plain path"
elif sha256sum -c SHA256SUMS >"$work/sums" 2>/dev/null; then
    ok "SHA256SUMS: $(($(wc -l <SHA256SUMS))) files have the digests that it lists"
else
    sed -n 's/: FAILED.*//p' "$work/sums" >"$work/differ"
    while read -r path; do fail "$path: not the file that SHA256SUMS lists"; done <"$work/differ"
    [ -s "$work/differ" ] || fail "SHA256SUMS: cannot be checked"
fi
sed 's/^[0-9a-f]*  //' SHA256SUMS >"$work/listed"
while read -r path; do
    case $path in SHA256SUMS | SHA256SUMS.sigstore.json) continue ;; esac
    [ -n "$(sed -n "\\|^$path\$|p" "$work/listed")" ] || fail "$path: not listed in SHA256SUMS"
done <"$work/files"

# --- the trust root ------------------------------------------------------------------------------

anchored=yes
if [ -z "$root" ]; then
    anchored=no
    root=trust/trusted_root.json
fi
# The certificates between the keys $1 and $2 into $work/$3.all, the self-signed into $3.roots too.
certificates() {
    : >"$work/$3.roots"
    : >"$work/$3.all"
    sed -n "s/.*\"$1\":\\(.*\\),\"$2\":.*/\\1/p" "$root" | sed 's/"rawBytes":"/\
&/g' | sed -n 's/^"rawBytes":"\([A-Za-z0-9+\/=]*\)".*/\1/p' >"$work/$3.list"
    while read -r raw || [ -n "$raw" ]; do
        printf '%s' "$raw" | base64 -d >"$work/one.der" 2>/dev/null
        openssl x509 -inform DER -in "$work/one.der" -out "$work/one.pem" 2>/dev/null || continue
        if [ "$(openssl x509 -noout -subject_hash -in "$work/one.pem")" = \
            "$(openssl x509 -noout -issuer_hash -in "$work/one.pem")" ]; then
            cat "$work/one.pem" >>"$work/$3.roots"
        fi
        cat "$work/one.pem" >>"$work/$3.all"
    done <"$work/$3.list"
    [ -s "$work/$3.roots" ] || fail "$root: no root certificate under $1"
}
certificates certificateAuthorities ctlogs ca
certificates timestampAuthorities tlogs tsa

# --- one signature -------------------------------------------------------------------------------

b64='[A-Za-z0-9+\/]*=\{0,2\}'
head='{"payload":"\('$b64'\)","payloadType":"application\/vnd\.in-toto+json","signatures":\[{"keyid":"[A-Za-z0-9:+\/]*","sig":"\('$b64'\)"}\]}'
rest='"mediaType":"application\/vnd\.dev\.sigstore\.bundle\.v0\.3+json","verificationMaterial":{"certificate":{"rawBytes":"\('$b64'\)"},"timestampVerificationData":{"rfc3161Timestamps":\[{"signedTimestamp":"\('$b64'\)"}\]},"tlogEntries":\[{.*}\]}}'

# Seconds since 1970 of "Nov  5 08:31:12.123 2026 GMT".
seconds() {
    # shellcheck disable=SC2086 # the words of the date, one by one
    set -- $1
    [ $# -ge 4 ] || return 1
    case $1 in
    Jan) m=1 ;; Feb) m=2 ;; Mar) m=3 ;; Apr) m=4 ;; May) m=5 ;; Jun) m=6 ;;
    Jul) m=7 ;; Aug) m=8 ;; Sep) m=9 ;; Oct) m=10 ;; Nov) m=11 ;; Dec) m=12 ;;
    *) return 1 ;;
    esac
    d=$2 y=$4 clock=${3%%.*}
    h=${clock%%:*} s=${clock##*:} i=${clock#*:}
    i=${i%%:*}
    for part in "$d" "$y" "$h" "$i" "$s"; do
        case $part in '' | *[!0-9]*) return 1 ;; esac
    done
    if [ "$m" -le 2 ]; then y=$((y - 1)) m=$((m + 12)); fi
    days=$((365 * y + y / 4 - y / 100 + y / 400 + (153 * (m - 3) + 2) / 5 + ${d#0} - 719469))
    echo $((days * 86400 + ${h#0} * 3600 + ${i#0} * 60 + ${s#0}))
}

# Checks the bundle $1: signature, time stamp, certificate. Sets signer, kind and subjects, and
# leaves the statement in $work/body.
bundle() {
    signer='' kind='' subjects=''
    sed -n "s/^{\"dsseEnvelope\":$head,$rest\$/\\1\\
\\2\\
\\3\\
\\4/p" "$1" >"$work/parts"
    if [ "$(sed -n '$=' "$work/parts")" != 4 ]; then
        fail "$1: expected a bundle v0.3 with one DSSE signature, certificate and time stamp"
        return 1
    fi
    n=0
    for part in body sig leaf.der token; do
        n=$((n + 1))
        sed -n "${n}p" "$work/parts" | base64 -d >"$work/$part" 2>/dev/null || {
            fail "$1: expected base64"
            return 1
        }
    done
    if ! openssl x509 -inform DER -in "$work/leaf.der" -out "$work/leaf" 2>/dev/null; then
        fail "$1: expected a certificate"
        return 1
    fi
    openssl x509 -noout -pubkey -in "$work/leaf" >"$work/public"
    {
        printf 'DSSEv1 28 application/vnd.in-toto+json %s ' "$(($(wc -c <"$work/body")))"
        cat "$work/body"
    } >"$work/pae"
    if ! openssl dgst -sha256 -verify "$work/public" -signature "$work/sig" "$work/pae" \
        >/dev/null 2>&1; then
        fail "$1: the signature does not fit the statement"
        return 1
    fi
    at=$(openssl ts -reply -in "$work/token" -text 2>/dev/null | sed -n 's/^Time stamp: //p')
    if ! at_s=$(seconds "$at"); then
        fail "$1: expected a time stamp"
        return 1
    fi
    if ! openssl ts -verify -in "$work/token" -data "$work/sig" -CAfile "$work/tsa.roots" \
        -untrusted "$work/tsa.all" -attime "$at_s" >/dev/null 2>&1; then
        fail "$1: the time stamp is not one of the trusted authority over this signature"
        return 1
    fi
    if ! openssl verify -attime "$at_s" -purpose any -CAfile "$work/ca.roots" \
        -untrusted "$work/ca.all" "$work/leaf" >/dev/null 2>&1; then
        fail "$1: the certificate does not lead to the trusted CA at $at"
        return 1
    fi
    case $(openssl x509 -noout -ext extendedKeyUsage -in "$work/leaf" 2>/dev/null) in
    *"Code Signing"*) ;;
    *)
        fail "$1: the certificate is not for signing"
        return 1
        ;;
    esac
    signer=$(openssl x509 -noout -ext subjectAltName -in "$work/leaf" 2>/dev/null |
        sed -n 's/^ *\(URI:\|email:\)\([^ ,]*\)$/\1\2/p')
    kind=$(sed -n 's/.*,"predicateType":"\([^"]*\)","subject":\[.*\]}$/\1/p' "$work/body")
    subjects=$(sed -n 's/.*,"predicateType":"[^"]*","subject":\[\(.*\)\]}$/\1/p' "$work/body")
    case $(cat "$work/body") in
    '{"_type":"https://in-toto.io/Statement/v1","predicate":{'*) ;;
    *) kind= ;;
    esac
    if [ -z "$signer" ] || [ -z "$kind" ]; then
        fail "$1: expected an in-toto statement and a name in the certificate"
        return 1
    fi
}

# The envelope beside the bundle $1 is the one inside it.
envelope() {
    inside=$(sed -n "s/^{\"dsseEnvelope\":\\($head\\),.*/\\1/p" "$1")
    beside=${1%.sigstore.json}.dsse
    [ -f "$beside" ] && [ -n "$inside" ] && [ "$(cat "$beside")" = "$inside" ] && return 0
    fail "$beside: not the envelope of the bundle beside it"
    return 1
}

subject() { printf '{"digest":{"sha256":"%s"},"name":"%s"}' "$(digest "$2")" "$1"; }

# --- all signatures ------------------------------------------------------------------------------

engine=
partial=unknown
addenda=no
if bundle SHA256SUMS.sigstore.json; then
    case $signer in URI:https://*/run-engine) engine=$signer ;; esac
    case $(cat "$work/body") in
    *',"partial":true'[,\}]*) partial=yes ;;
    *',"partial":false'[,\}]*) partial=no ;;
    esac
    case $(cat "$work/body") in *'"kind":"addenda",'*) addenda=yes ;; esac
    case $kind in */export/v1) ;; *) engine= ;; esac
    if [ -n "$engine" ] && [ "$partial" != unknown ] &&
        [ "$subjects" = "$(subject SHA256SUMS SHA256SUMS)" ]; then
        ok "SHA256SUMS.sigstore.json: signed by $signer at $at"
    else
        fail "SHA256SUMS.sigstore.json: expected the engine's export of SHA256SUMS, found $kind"
    fi
fi

items=0
: >"$work/sealed"
while read -r path; do
    case $path in
    steps/*.sigstore.json | addenda/*.sigstore.json | proof-chain.sigstore.json) ;;
    steps/*.dsse | addenda/*.dsse | proof-chain.dsse)
        [ -f "${path%.dsse}.sigstore.json" ] || fail "$path: its bundle is missing"
        continue
        ;;
    *) continue ;;
    esac
    bundle "$path" || continue
    envelope "$path" || continue
    case $path in
    steps/*)
        items=$((items + 1))
        about=$(subject release-bundle.manifest.json release-bundle.manifest.json)
        ;;
    addenda/*) about=$(subject proof-chain.json proof-chain.json) ;;
    *)
        about=$subjects
        printf '%s' "$subjects" | sed 's/},{/}\
{/g' >"$work/sealed"
        echo >>"$work/sealed"
        case $kind in */proof-chain/v1) ;; *) fail "$path: expected a proof chain, found $kind" ;; esac
        ;;
    esac
    [ "$subjects" = "$about" ] || { fail "$path: is about something else"; continue; }
    case $kind in
    */approval/v1 | */addendum/v1) ;;
    *) [ "$signer" = "$engine" ] || { fail "$path: expected $engine, found $signer"; continue; } ;;
    esac
    ok "$path: signed by $signer at $at"
done <"$work/files"

# --- the seal ------------------------------------------------------------------------------------

if [ "$partial" = yes ]; then
    [ ! -e proof-chain.json ] || fail "proof-chain.json: a partial pack has none"
    echo "PARTIAL: made before the run was sealed; there is no proof chain yet."
elif [ ! -s "$work/sealed" ] || [ ! -f proof-chain.json ]; then
    fail "proof-chain.json: expected a signed proof chain, or a pack that is signed as partial"
elif [ "$addenda" = yes ]; then
    [ -n "$(sed -n "\\|^$(subject proof-chain.json proof-chain.json)\$|p" "$work/sealed")" ] ||
        fail "proof-chain.json: not the one that was signed"
else
    count=2
    while read -r path; do
        case $path in
        steps/*) count=$((count + 1)) ;;
        proof-chain.json | release-bundle.manifest.json) ;;
        *) continue ;;
        esac
        [ -n "$(sed -n "\\|^$(subject "$path" "$path")\$|p" "$work/sealed")" ] ||
            fail "$path: not a subject of the proof chain as it is here"
    done <"$work/files"
    sealed=$(($(wc -l <"$work/sealed")))
    chained=$(sed -n 's/^{"count":\([0-9]*\),.*/\1/p' proof-chain.json)
    if [ "$sealed" -ne "$count" ]; then
        fail "proof-chain.dsse: names $sealed files, found $count"
    elif [ "$chained" != "$items" ]; then
        fail "proof-chain.json: counts ${chained:-no} items, found $items"
    else
        ok "proof-chain.json: $items items, and $sealed files that it vouches for, are all here"
    fi
fi

# --- the end -------------------------------------------------------------------------------------

cat <<'END'
Not checked here, since these tools cannot: that each entry stands in the transparency log and that
the log was never rewritten, the certificates' own log (SCT), the validity windows of the trust
root's keys, and that items, approvals and decisions fit each other. `releaseline verify` does.
END
if [ "$anchored" = no ]; then
    echo "Trust began inside the pack. Compare with the SHA-256 that its maker gave you:"
    echo "    $(digest "$root")  trusted_root.json"
fi
if [ "$bad" -ne 0 ]; then
    echo "NOT VERIFIED: $bad of $((good + bad)) checks failed."
    exit 1
fi
echo "Verified: $good checks passed."
