//! What keeps data.

use std::io;
use std::process::{Command, Stdio};

use drainit::signal::Signal;

use super::client::{Client, Companion};
use super::{Case, Place, Program, Ready, Stage, client, tools};

pub(crate) const POSTGRES: Program = Program {
    name: "postgres",
    needs: &["postgres", "initdb", "psql", "pg_controldata", "setpriv"],
    cases: &[
        Case::new("postgres", "a query", postgres),
        Case::new("sh -c 'postgres & wait'", "a query", postgres_behind_a_shell).exits(143),
        Case::new("postgres", "a query; another client stays", postgres_with_a_client_that_stays)
            .options(&["--stop-schedule", "TERM@main/8s/INT@main/10s/KILL"]),
        Case::new("postgres", "a checkpoint", postgres_for_a_checkpoint).options(&["--rewrite", "TERM:INT"]),
        Case::new("postgres", "a checkpoint", postgres_for_a_checkpoint).signal(Signal::INT),
    ],
};

/// It refuses to be root. setpriv becomes its command, so that no process stands in front of that.
const AS_POSTGRES: [&str; 6] = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"];

fn postgres(place: &Place) -> io::Result<Stage> {
    lay_postgres(place, &SERVER, psql(place, &QUERY))
}

fn postgres_behind_a_shell(place: &Place) -> io::Result<Stage> {
    let script = format!("{} & wait", SERVER.join(" ").replace("listen_addresses=", "listen_addresses=''"));
    lay_postgres(place, &["sh", "-c", &script], psql(place, &QUERY))
}

fn postgres_with_a_client_that_stays(place: &Place) -> io::Result<Stage> {
    let mut long = psql_command(place, &["select pg_sleep(20)"]);
    let query = psql(place, &[&[BOTH_ARE_THERE], &QUERY[..]].concat());
    let client = Box::new(move || {
        let long =
            long.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|error| error.to_string())?;
        let mut long = Companion::of(long);
        query()?;
        // The server ends it, or it ends by itself.
        long.ends();
        Ok(())
    });
    lay_postgres(place, &SERVER, client)
}

/// INT ends the sessions and what they are at: what counts is that the data are on the disk in good order.
fn postgres_for_a_checkpoint(place: &Place) -> io::Result<Stage> {
    let query = psql(place, &QUERY);
    let client = Box::new(move || {
        let _ = query();
        Ok(())
    });
    lay_postgres(place, &SERVER, client)
}

const SERVER: [&str; 7] = ["postgres", "-D", "@FOLDER@/data", "-k", "@FOLDER@", "-c", "listen_addresses="];

/// The server writes the marks.
const QUERY: [&str; 3] =
    ["copy (select 1) to '@FOLDER@/begun'", "select pg_sleep(3)", "create table work as select 'done'"];

/// The client that stays has come too.
const BOTH_ARE_THERE: &str = "do $$ begin \
    while (select count(*) from pg_stat_activity where query like '%pg_sleep(20)') < 1 loop \
    perform pg_sleep(0.01); perform pg_stat_clear_snapshot(); end loop; end $$";

fn psql(place: &Place, queries: &[&str]) -> Client {
    client::command(psql_command(place, queries))
}

fn psql_command(place: &Place, queries: &[&str]) -> Command {
    let mut command = client::plain("psql");
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-h"]);
    command.arg(place.path(""));
    for query in queries {
        command.args(["-c", &place.fill(query)]);
    }
    command
}

fn lay_postgres(place: &Place, command: &[&str], client: Client) -> io::Result<Stage> {
    let mut initdb = client::plain("setpriv");
    initdb.args(&AS_POSTGRES[1..]).arg(tools::path("initdb"));
    initdb.args(["--no-sync", "-A", "trust", "-U", "postgres", "-D"]).arg(place.path("data"));
    client::succeed(initdb.current_dir(place.path("")))?;
    let command = [&AS_POSTGRES, command].concat();
    let ready = Ready::Says("ready to accept connections");
    Ok(Stage::new(place, &command, ready, client).check(has_shut_down))
}

fn has_shut_down(place: &Place) -> Result<(), String> {
    let output = client::plain("pg_controldata").arg("-D").arg(place.path("data")).output();
    let said = output.map_err(|error| format!("pg_controldata: {error}"))?.stdout;
    let said = String::from_utf8_lossy(&said);
    let state = said.lines().find_map(|line| line.strip_prefix("Database cluster state:")).unwrap_or("");
    match state.trim() {
        "shut down" => Ok(()),
        other => Err(format!("the database is {other:?}")),
    }
}

pub(crate) const REDIS: Program = Program {
    name: "redis-server",
    needs: &["redis-server"],
    cases: &[
        Case::new("redis-server", "saving its data", redis),
        Case::new("sh -c 'redis-server & wait'", "saving its data", redis_behind_a_shell).exits(143),
    ],
};

/// With the delay below saving them takes 2.5 seconds.
const KEYS: usize = 2500;

const REDIS_SERVER: &str = "redis-server --port 0 --unixsocket @FOLDER@/redis.sock --dir @FOLDER@ --save 3600 1 \
                            --rdb-key-save-delay 1000";

fn redis(place: &Place) -> io::Result<Stage> {
    lay_redis(place, &REDIS_SERVER.split(' ').collect::<Vec<_>>())
}

fn redis_behind_a_shell(place: &Place) -> io::Result<Stage> {
    lay_redis(place, &["sh", "-c", &format!("{REDIS_SERVER} & wait")])
}

fn lay_redis(place: &Place, command: &[&str]) -> io::Result<Stage> {
    let client = client::set_keys(place, "redis.sock", KEYS);
    let stage = Stage::new(place, command, Ready::Socket("redis.sock"), client);
    Ok(stage.check(|place| {
        let saved = place.read("dump.rdb");
        let lost = (0..KEYS).filter(|&number| !saved.contains(&client::key(number))).count();
        if lost == 0 { Ok(()) } else { Err(format!("{lost} of {KEYS} keys were not saved")) }
    }))
}
