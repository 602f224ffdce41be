//! Servers and agents under fault: things are killed, cut off and taken away, and every story says what was lost: nothing. It
//! says so in a line of its own on the standard error, which begins with `fleet:`.
//!
//! `process` is a program that can be killed; `deployment` starts servers and agents as an operator does; `counter` is a job that
//! keeps an account of its own; `gate` cuts connections; `postgres` is a database that can crash. `as_the_readme_says` begins on
//! an empty machine, `traced` and `lent` on one server, and `commands` uses one as a person does. Each other story is told on one
//! server with SQLite, and on two servers with PostgreSQL, NATS and three agents.

mod agent_dies;
mod as_the_readme_says;
mod clocks;
mod cluster_url;
mod commands;
mod counter;
mod cut_off;
mod deployment;
mod disk_full;
mod gate;
mod lent;
mod many;
mod parts_away;
mod postgres;
mod process;
mod server_dies;
mod simulated;
mod traced;

/// Tells a story on both kinds of deployment.
macro_rules! on_both {
    ($($story:ident),+ $(,)?) => {
        $(mod $story {
            use crate::fleet::deployment::Shape;

            #[test]
            fn on_sqlite() {
                if Shape::Sqlite.is_available() {
                    super::$story(Shape::Sqlite);
                }
            }

            #[test]
            fn on_postgres_and_nats() {
                if Shape::Postgres.is_available() {
                    super::$story(Shape::Postgres);
                }
            }
        })+
    };
}
use on_both;
