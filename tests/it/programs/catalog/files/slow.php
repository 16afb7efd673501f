<?php
exec('touch @FOLDER@/begun; sleep 3; echo slept', $lines, $code);
if ($lines === ['slept'] && $code === 0) {
    echo "done\n";
} else {
    echo 'exec() ended with ', $code, "\n";
}
