//! Web servers, and PHP behind one.

use std::io;

use drainit::signal::Signal;

use super::{Case, Place, Program, Ready, Stage, client};

/// A page that takes three seconds at the pace of the servers' configurations.
const PAGE_BYTES: usize = 300 << 10;

fn lay_page(place: &Place) -> io::Result<()> {
    let mut page = "x".repeat(PAGE_BYTES);
    page.push_str("done\n");
    place.write("page", &page)
}

const DOWNLOAD: &str = "a download";

pub(crate) const NGINX: Program = Program {
    name: "nginx",
    needs: &["nginx"],
    cases: &[
        Case::new("nginx -g 'daemon off;'", DOWNLOAD, nginx).options(&["--rewrite", "TERM:QUIT"]),
        Case::new("nginx -g 'daemon off;'", DOWNLOAD, nginx).signal(Signal::QUIT),
        Case::new("nginx -g 'daemon off;'", DOWNLOAD, nginx).options(&[
            "--pre-stop",
            "nginx -c @FOLDER@/nginx.conf -s quit",
            "--pre-stop-idle",
            "@PORT@",
            "--pre-stop-timeout",
            "20s",
        ]),
        Case::new("nginx", DOWNLOAD, nginx_in_background).options(&[
            "--wait-for-all",
            "--rewrite",
            "TERM:QUIT",
        ]),
    ],
};

fn nginx(place: &Place) -> io::Result<Stage> {
    lay_nginx(place, &["nginx", "-c", "@FOLDER@/nginx.conf", "-g", "daemon off;"])
}

fn nginx_in_background(place: &Place) -> io::Result<Stage> {
    lay_nginx(place, &["nginx", "-c", "@FOLDER@/nginx.conf"])
}

fn lay_nginx(place: &Place, command: &[&str]) -> io::Result<Stage> {
    lay_page(place)?;
    place.write("nginx.conf", include_str!("files/nginx.conf"))?;
    Ok(Stage::new(place, command, Ready::Port, client::get(place, "/page")))
}

pub(crate) const APACHE2: Program = Program {
    name: "apache2",
    needs: &["apache2"],
    cases: &[
        Case::new("httpd -DFOREGROUND, prefork", DOWNLOAD, apache2_prefork).options(TERM_TO_WINCH),
        Case::new("httpd -DFOREGROUND, prefork", DOWNLOAD, apache2_prefork).signal(Signal::WINCH),
        Case::new("httpd -DFOREGROUND, event", DOWNLOAD, apache2_event).options(TERM_TO_WINCH),
        Case::new("httpd -DFOREGROUND, event", DOWNLOAD, apache2_event).signal(Signal::WINCH),
    ],
};

/// A terminal's change of size is no stop.
const TERM_TO_WINCH: &[&str] = &["--rewrite", "WINCH:none", "--rewrite", "TERM:WINCH"];

fn apache2_prefork(place: &Place) -> io::Result<Stage> {
    lay_apache2(place, "prefork")
}

fn apache2_event(place: &Place) -> io::Result<Stage> {
    lay_apache2(place, "event")
}

fn lay_apache2(place: &Place, workers: &str) -> io::Result<Stage> {
    lay_page(place)?;
    place.write("httpd.conf", &include_str!("files/httpd.conf").replace("@MPM@", workers))?;
    let command = ["apache2", "-DFOREGROUND", "-f", "@FOLDER@/httpd.conf"];
    Ok(Stage::new(place, &command, Ready::Port, client::get(place, "/page")))
}

pub(crate) const PHP_FPM: Program = Program {
    name: "php-fpm",
    needs: &["php-fpm"],
    cases: &[
        Case::new("php-fpm --nodaemonize", IN_EXEC, php_fpm).options(&["--rewrite", "TERM:QUIT"]),
        Case::new("php-fpm --nodaemonize", IN_EXEC, php_fpm).signal(Signal::QUIT),
    ],
};

const IN_EXEC: &str = "a request, in `exec()`";

fn php_fpm(place: &Place) -> io::Result<Stage> {
    place.write("php-fpm.conf", include_str!("files/php-fpm.conf"))?;
    place.write("slow.php", include_str!("files/slow.php"))?;
    let program = super::tools::path("php-fpm");
    let command =
        [&program, "--nodaemonize", "--allow-to-run-as-root", "--fpm-config", "@FOLDER@/php-fpm.conf"];
    let client = client::fastcgi(place, "php.sock", "slow.php");
    Ok(Stage::new(place, &command, Ready::Socket("php.sock"), client))
}
