//! The worker: applies notifications in batches, runs jobs, keeps dead letters.
//!
//! In reading order: [`settings`] and [`service`] start it; a [`lane`] takes batches from a queue
//! and hands them to a role ([`webhooks`] with [`notices`], [`jobs`] with [`runs`],
//! [`dead_letters`]); [`batch`] applies and splits; [`settle`] tells the broker what became of each
//! message; [`gate`] holds everything while the database is away; [`in_hand`] finds a message that
//! kills workers, and [`pace`] slows down for it; [`long`] work does not hold up its lane.

pub mod settings;

pub mod service;

pub mod lane;

pub mod webhooks;

pub mod notices;

pub mod job;

pub mod jobs;

pub mod runs;

pub mod dead_letters;

pub mod batch;

pub mod settle;

pub mod gate;

pub mod pace;

pub mod in_hand;

pub mod long;
