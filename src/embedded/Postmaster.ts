/**
 * PostgreSQL's main process, as seen from outside: through `postmaster.pid`, which it keeps in its
 * data directory, and through the operating system.
 */
import { Effect } from "effect"
import { script } from "./Account.ts"
import type { DataDir } from "./DataDir.ts"
import { PostgresNotStarted } from "./EmbeddedPostgresUnavailable.ts"

/**
 * Ends the server of the data directory `$1`, and prints its process id if it does not end.
 *
 * Process ids are given out again, so one counts if the process works in this directory, as only
 * PostgreSQL's own do. It is looked at and signalled as the account, which can harm no other one's
 * processes, whatever the file says.
 *
 * PostgreSQL refuses to start while any process of its user has the id in the file, though it may
 * have been given to another program. Only the id is replaced, by one that no system gives out, and
 * the file kept, because its other lines let PostgreSQL find out whether connections of the dead
 * server are still at work.
 */
const takeOverScript = `
[ -e "$1" ] || exit 0
cd -- "$1"
[ -e postmaster.pid ] || exit 0
[ -f postmaster.pid ] || { echo "$1/postmaster.pid is not a plain file" >&2; exit 1; }
read -r pid <postmaster.pid || :
case $pid in
  '' | 0* | *[!0-9]*) pid=2147483647 ;;
esac
runs() {
  if [ -d /proc/self ]; then
    [ "/proc/$pid/cwd" -ef . ]
  else
    case $(ps -ww -o command= -p "$pid") in
      *"/postgres -D $1 -c "*) ;;
      *) return 1 ;;
    esac
  fi
}
ends() {
  kill "$2" "$pid" 2>/dev/null || :
  tries=0
  while runs "$1"; do
    tries=$((tries + 1))
    [ "$tries" -lt "$3" ] || return 1
    sleep 0.02
  done
}
if runs "$1"; then
  ends "$1" -INT 250 || ends "$1" -QUIT 350 || echo "$pid"
elif [ "$(wc -l <postmaster.pid)" -ge 6 ]; then
  { echo 2147483647; tail -n +2 postmaster.pid; } >postmaster.pid.new
  mv -f postmaster.pid.new postmaster.pid
else
  rm -f postmaster.pid
fi
`

/**
 * Ends what a service that died has left behind. The caller holds the lock on the directory, so
 * that a server which still runs in it belongs to nobody.
 */
export const takeOver = Effect.fn("Postmaster.takeOver")(
  function* ({ account, cluster }: DataDir) {
    const pid = yield* script(account, takeOverScript, [cluster])
    if (pid !== "") {
      return yield* new PostgresNotStarted({
        detail: `process ${pid} is the server of an earlier run and does not stop`,
        output: "",
      })
    }
  },
)
