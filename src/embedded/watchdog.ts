/**
 * A shell script that runs a server for as long as its standard input is open:
 *
 *     /bin/sh -c <script> watchdog LOG COMMAND [ARGUMENT...]
 *
 * The service holds the other end of that pipe and never writes to it. The system closes it when
 * the service dies, of whatever cause, so that not even SIGKILL leaves a server behind; and the
 * service closes it to stop the server, so that there is only one way to do so.
 *
 * It is the account that runs it, so that the log, too, is opened and kept in bounds as the account.
 */
import { boundLog } from "./ServerLog.ts"

export const watchdog = `
log=$1
shift
umask 077
# A stop that is meant for everybody (systemd signals a whole control group) is the service's to
# carry out: it finishes its requests first.
trap '' INT TERM HUP
exec 3<&0
"$@" 3<&- </dev/null >>"$log" 2>&1 &
server=$!
{
  cat >/dev/null
  kill -INT "$server"
  sleep 5
  kill -QUIT "$server"
} <&3 >/dev/null 2>&1 &
exec 3<&-
${boundLog}
while sleep 60; do
  bound_log "$log"
done >/dev/null 2>&1 &
wait "$server"
status=$?
# What still sleeps or reads goes too: this script ignores the signal, which is sent to its group.
trap '' USR1
kill -USR1 0
exit "$status"
`
