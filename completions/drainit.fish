complete -c drainit -l stop-signal -d 'Signals that begin a stop [default: TERM]' -r -f -a "TERM\t''
INT\t''
QUIT\t''
HUP\t''
USR1\t''
USR2\t''
WINCH\t''
PWR\t''
RTMIN+3\t''"
complete -c drainit -s r -l rewrite -d 'Receive FROM, forward TO; 0 or none drops it (repeatable)' -r -f
complete -c drainit -l forward-to -d 'Processes that get the signals: auto, group, main or all [default: auto]' -r -f -a "auto\t''
group\t''
main\t''
all\t''"
complete -c drainit -l pre-stop -d 'Before processes are signalled: run COMMAND, no shell (repeatable)' -r -f -a "(__fish_complete_command)"
complete -c drainit -l pre-stop-sleep -d 'Before processes are signalled: wait (repeatable)' -r -f
complete -c drainit -l pre-stop-http -d 'Before processes are signalled: send a plain HTTP request; 2xx and 3xx are success (repeatable)' -r -f
complete -c drainit -l pre-stop-idle -d 'Before processes are signalled: wait until no TCP connection on the local PORT is left (repeatable)' -r -f
complete -c drainit -l pre-stop-timeout -d 'Limit for all pre-stop steps together [default: 5s]' -r -f
complete -c drainit -l grace-period -d 'Time from the stop request to KILL, drain included [default: no limit]' -r -f
complete -c drainit -l stop-schedule -d 'Signals to send, and how long to wait after each: TERM@main/5s/TERM@group/10s/KILL [default: the stop signal]' -r -f
complete -c drainit -l ignored-after -d 'When to give up on processes that ignore the signal, or never [default: 2s]' -r -f
complete -c drainit -l stop-after -d 'Begin a stop this long after the start' -r -f
complete -c drainit -l post-exit -d 'After the last process has ended: run COMMAND (repeatable)' -r -f -a "(__fish_complete_command)"
complete -c drainit -l post-exit-sleep -d 'After the last process has ended: wait (repeatable)' -r -f
complete -c drainit -l post-exit-http -d 'After the last process has ended: send a request (repeatable)' -r -f
complete -c drainit -s e -l remap-exit -d 'Exit with TO (default 0) if the command exits with CODE (repeatable)' -r -f
complete -c drainit -s u -l user -d 'Run the command as this user and group (numbers; default GID 0)' -r -f
complete -c drainit -l workdir -d 'Run the command in this directory' -r -f -a "(__fish_complete_directories)"
complete -c drainit -s p -l parent-death-signal -d 'Send drainit SIG if its parent dies, and the command if drainit dies' -r -f -a "HUP\t''
INT\t''
QUIT\t''
ILL\t''
TRAP\t''
ABRT\t''
BUS\t''
FPE\t''
KILL\t''
USR1\t''
SEGV\t''
USR2\t''
PIPE\t''
ALRM\t''
TERM\t''
STKFLT\t''
CHLD\t''
CONT\t''
STOP\t''
TSTP\t''
TTIN\t''
TTOU\t''
URG\t''
XCPU\t''
XFSZ\t''
VTALRM\t''
PROF\t''
WINCH\t''
IO\t''
PWR\t''
SYS\t''"
complete -c drainit -l report -d 'Write what happened to FILE as JSON (- is stderr)' -r -F
complete -c drainit -l termination-log -d 'Write to this file if a process was killed or a step failed [default PATH: /dev/termination-log]' -r -F
complete -c drainit -l rehearse -d 'Begin a stop after this time, draw it on stderr, and exit 0 if it went well, 124 if not [default grace period: 30s]' -r -f
complete -c drainit -l log-format -d 'Format of lines on stderr: text or json [default: text]' -r -f -a "text\t''
json\t''"
complete -c drainit -l copy-to -d 'Copy this program to PATH and exit' -r -F
complete -c drainit -s g -d 'Same as --forward-to group'
complete -c drainit -s c -l single-child -d 'Same as --forward-to main'
complete -c drainit -l wait-for-all -d 'If the command exits by itself, signal nothing; wait for its children'
complete -c drainit -l propagate-signal -d 'Die of the signal that the command died of (not as PID 1)'
complete -c drainit -s s -l subreaper -d 'Adopt orphans if not PID 1 (always on; accepted for tini\'s users)'
complete -c drainit -s w -l warn-on-reap -d 'Warn of each orphan that is reaped'
complete -c drainit -s P -l pause -d 'Run no command: reap until TERM or INT arrives, as a pause container'
complete -c drainit -l poweroff -d 'As PID 1 of a machine: power it off instead of exiting'
complete -c drainit -s v -l verbose -d 'Log more on stderr: -v info, -vv debug, -vvv trace'
complete -c drainit -s q -l quiet -d 'Log errors only'
complete -c drainit -s h -d 'Print the options that most people need, and exit'
complete -c drainit -l help -d 'Print this and exit'
complete -c drainit -s V -l version -d 'Print the version and exit'
complete -c drainit -s l -s L -l license -d 'Print the licence and exit'
complete -c drainit -x -a "(__fish_complete_subcommand -- --stop-signal --rewrite -r --forward-to --pre-stop --pre-stop-sleep --pre-stop-http --pre-stop-idle --pre-stop-timeout --grace-period --stop-schedule --ignored-after --stop-after --post-exit --post-exit-sleep --post-exit-http --remap-exit -e --user -u --workdir --parent-death-signal -p --report --rehearse --log-format --copy-to)"
