complete -c drainit -l stop-signal -d 'What counts as a request to stop [default: TERM]' -r
complete -c drainit -s r -l rewrite -d 'Receive FROM, forward TO; 0 or none drops it (repeatable)' -r
complete -c drainit -l forward-to -d 'Which processes get signals: auto, group, main or all [default: auto]' -r
complete -c drainit -l pre-stop -d 'Before anybody is asked to leave, run COMMAND, no shell (repeatable)' -r
complete -c drainit -l pre-stop-sleep -d 'The same: wait (repeatable)' -r
complete -c drainit -l pre-stop-http -d 'The same: send a plain HTTP request; 2xx and 3xx are good (repeatable)' -r
complete -c drainit -l pre-stop-idle -d 'The same: wait until the local TCP PORT has no connection (repeatable)' -r
complete -c drainit -l pre-stop-timeout -d 'For all of these steps together [default: 5s]' -r
complete -c drainit -l grace-period -d 'From the stop request to KILL, the steps included [default: no limit]' -r
complete -c drainit -l stop-schedule -d 'What is sent to whom, and how long they have: TERM@main/5s/TERM@group/10s/KILL [default: the stop signal]' -r
complete -c drainit -l ignored-after -d 'When to go on where the signal is ignored, or never [default: 2s]' -r
complete -c drainit -l stop-after -d 'Begin a stop without being asked' -r
complete -c drainit -l post-exit -d 'After the last process has gone: run COMMAND (repeatable)' -r
complete -c drainit -l post-exit-sleep -d 'The same: wait (repeatable)' -r
complete -c drainit -l post-exit-http -d 'The same: send a request (repeatable)' -r
complete -c drainit -s e -l remap-exit -d 'Exit with TO (0) where the command\'s exit code is CODE (repeatable)' -r
complete -c drainit -s u -l user -d 'Run the command as this user and group (numbers; GID 0 where left out)' -r
complete -c drainit -l workdir -d 'Run the command in this directory' -r -f -a "(__fish_complete_directories)"
complete -c drainit -s p -l parent-death-signal -d 'Get SIG when the parent dies, as the command does then' -r
complete -c drainit -l report -d 'Write what happened as JSON to FILE at the end (- is stderr)' -r -F
complete -c drainit -l termination-log -d 'Where somebody was killed or a step failed, say so there [default PATH: /dev/termination-log]' -r -F
complete -c drainit -l rehearse -d 'Begin a stop after that time, draw it on stderr, and exit 0 where it went well, 124 where it did not' -r
complete -c drainit -l log-format -d 'Lines on stderr as text or json [default: text]' -r
complete -c drainit -l copy-to -d 'Copy this program to PATH and exit' -r -F
complete -c drainit -s g -d 'As --forward-to group'
complete -c drainit -s c -l single-child -d 'As --forward-to main'
complete -c drainit -l wait-for-all -d 'When the command exits by itself, stop nobody and stay'
complete -c drainit -l propagate-signal -d 'Die of the signal that the command died of (not as PID 1)'
complete -c drainit -s s -l subreaper -d 'Adopt orphans where not PID 1: always done, accepted for tini\'s sake'
complete -c drainit -s w -l warn-on-reap -d 'Warn of each orphan that is reaped'
complete -c drainit -s P -l pause -d 'Run no command: reap until TERM or INT comes, as a pause container'
complete -c drainit -l poweroff -d 'As PID 1 of a machine: power it off instead of exiting'
complete -c drainit -s v -l verbose -d 'Say more on stderr: -v info, -vv debug, -vvv trace'
complete -c drainit -s q -l quiet -d 'Say errors only'
complete -c drainit -s h -l help -d 'Print this and exit'
complete -c drainit -s V -l version -d 'Print the version and exit'
complete -c drainit -s l -s L -l license -d 'Print the licence and exit'
