//! The process: how it comes up and dies, how a step is closed, kept, and lets its effects leave.

use super::*;

impl World {
    /// The process comes up.
    pub(in crate::sim) fn up(&mut self) {
        if self.desk.is_none() && !self.broken {
            self.business = BusinessTime::new(self.reading(), self.land.config.catch_up_after);
            self.load();
            if let Some(desk) = &self.desk {
                self.business.resume(desk.now());
            }
        }
    }

    fn blueprint(&self) -> Blueprint {
        Blueprint {
            setup: (*self.setup).clone(),
            policy: self.land.policy.clone(),
            learned: None,
            key: InstallationKey::new(KEY),
            epoch: self.boot,
            renderer: self.renderer.clone(),
            expected: std::collections::BTreeMap::new(),
        }
    }

    pub(in crate::sim) fn load(&mut self) {
        self.boot += 1;
        self.stands = false;
        self.asking.clear();
        let (blueprint, now) = (self.blueprint(), self.now());
        let last = self.trace.commits().last().map_or(now, |(_, event, _)| event.at);
        let setup = self.setup.clone();
        self.note(What::Started { epoch: self.boot, down: now.since(last), setup });
        let earlier = self.business.went_back().map_or(Earlier::Waits, |by| Earlier::GoesBack { by });
        let loaded = wait(blueprint.load(&*self.store, now, earlier));
        match loaded {
            Ok(loaded) => {
                if let Some(row) = loaded.unread.first() {
                    self.fail("I43", format!("a row cannot be read back: {row}"));
                }
                for incident in self.kept.incidents.values().filter(|i| !i.is_resolved()) {
                    if loaded.desk.incident(incident.id).is_none() {
                        let words = format!("incident {} is not there after a start", incident.id.short());
                        self.found.push(Found {
                            invariant: "I13",
                            event: self.trace.events.len() - 1,
                            words,
                        });
                    }
                }
                self.desk = Some(loaded.desk);
                self.fresh = true;
            }
            Err(e) => self.fail("start", format!("the desk cannot be loaded: {e}")),
        }
    }

    /// What was not kept is not done; whoever cares tries again.
    pub(in crate::sim) fn drop_turn(&mut self, process_lives: bool) {
        let turn = std::mem::take(&mut self.turn);
        self.signals.extend(turn.signals);
        for (statement, tries) in turn.statements {
            if tries > 0 {
                self.later(Span::from_secs(30), Happening::Receipt { statement, tries: tries - 1 });
            }
        }
        for (response, ..) in turn.answers {
            if self.dice.chance(60) {
                let after = self.dice.span(5, 60);
                self.later(after, Happening::Again(Box::new(response)));
            }
        }
        if process_lives {
            for (message, attempt, outcome) in turn.reports {
                let boot = self.boot + 1;
                self.later(Span::from_millis(1), Happening::Came { boot, message, attempt, outcome });
            }
        }
    }

    fn die(&mut self, place: &'static str, lost: usize, process_lives: bool) {
        self.death = None;
        self.note(What::Died { place, lost });
        self.drop_turn(process_lives);
        self.desk = None;
        self.verify();
        if process_lives {
            // The senders go on; what they bring back is for the next life of the desk.
            for happening in self.queue.values_mut() {
                if let Happening::Came { boot, .. } = happening
                    && *boot == self.boot
                {
                    *boot += 1;
                }
            }
            self.load();
            return;
        }
        self.flying.clear();
        let down = match self.dice.below(20) {
            0..=13 => self.dice.span(0, 5),
            14..=16 => self.dice.span(5, 290),
            _ if self.profile.downtimes => self.dice.span(300, 5400),
            _ => self.dice.span(5, 60),
        };
        self.later(down, Happening::Up);
    }

    fn room(&self) -> Room {
        let mut room: Room =
            self.setup.channels.iter().map(|(name, card)| (name.clone(), card.max_inflight)).collect();
        for channel in self.flying.values() {
            if let Some(left) = room.get_mut(channel) {
                *left = left.saturating_sub(1);
            }
        }
        room
    }

    /// Timers, claims, the commit, and then the effects.
    pub(in crate::sim) fn close_turn(&mut self) {
        if self.desk.is_none() {
            return;
        }
        self.fresh = false;
        for signal in std::mem::take(&mut self.signals) {
            self.with(|desk, now| desk.signal(&signal, now));
            self.turn.signals.push(signal);
        }
        self.with(|desk, now| {
            if desk.next_wake().is_some_and(|at| at <= now) {
                desk.advance(now);
            }
        });
        let room = self.room();
        let renderer = self.renderer.clone();
        let done = self.with(|desk, now| {
            let claims = desk.claim(&room, &*renderer, now);
            (claims, desk.inquiries(), desk.drain(), desk.alerting().conservation())
        });
        let Some((claims, inquiries, mut batch, conservation)) = done else { return };
        self.with(|desk, _| (desk.take_counts(), desk.take_alarms()));
        if !conservation.holds() {
            self.fail("I47", format!("{conservation:?}"));
        }
        for (source, to) in &self.turn.cursors {
            let (id, body) = (self.sources[*source].name.to_owned(), to.to_string().into_bytes());
            batch.rows.push(Row {
                table: Table::Cursor,
                id,
                state: None,
                parent: None,
                wake: None,
                body: Some(body),
            });
        }
        if !batch.is_empty() {
            match self.death {
                Some(Death::BeforeCommit) => return self.die("before the commit", batch.rows.len(), false),
                Some(Death::Refused) => {
                    return self.die("as the store refused the write", batch.rows.len(), true);
                }
                _ => {}
            }
            if !self.keep(&batch) {
                return;
            }
            if self.death == Some(Death::AfterCommit) {
                return self.die("after the commit, before the sends", 0, false);
            }
        }
        let turn = std::mem::take(&mut self.turn);
        for (response, words, acked) in turn.answers {
            self.note(What::Answered { person: response.person.to_string(), words, acked });
        }
        for inquiry in inquiries {
            if self.asking.insert(inquiry.message) {
                self.ask(inquiry.message, &inquiry.channel, &inquiry.key);
            }
        }
        let many = claims.len();
        for (n, claim) in claims.into_iter().enumerate() {
            if self.death == Some(Death::WhileSending) && n * 2 >= many {
                return self.die("while sending", 0, false);
            }
            self.send(claim);
        }
        if many > 0 && self.death == Some(Death::AfterSending) {
            self.die("after sending", 0, false);
        }
    }

    /// The step is kept; false when the run is over.
    fn keep(&mut self, batch: &crate::core::model::Batch) -> bool {
        let desk: Arc<str> = DESK.into();
        if let Err(e) = wait(self.store.commit(&desk, batch.clone())) {
            self.fail("store", format!("the store did not take a batch: {e}"));
            return false;
        }
        let commit = match self.kept.take(batch) {
            Ok(commit) => Arc::new(commit),
            Err(e) => {
                self.fail("I43", format!("a row cannot be read back: {e}"));
                return false;
            }
        };
        self.commits += 1;
        self.latest = self.now();
        self.note(What::Kept(commit.clone()));
        let step = Step {
            at: self.now(),
            commit: &commit,
            kept: &self.kept,
            setup: &self.setup,
            sources: &self.sources,
            policy: &self.land.policy,
            room: &self.room(),
        };
        let event = self.trace.events.len() - 1;
        invariants::model(&step, event, &mut self.found);
        if self.commits.is_multiple_of(400) {
            invariants::rest(&step, event, &mut self.found);
        }
        true
    }

    fn ask(&mut self, message: Id, channel: &Arc<str>, key: &str) {
        let at = self.now();
        let Some(provider) = self.providers.get_mut(channel) else { return };
        let what = provider.ask(key);
        let statement = what.map(|what| Statement {
            key: Some(key.to_owned()),
            provider_id: None,
            channel: channel.clone(),
            what,
            code: None,
            at,
        });
        let after = self.dice.span(0, 2);
        self.later(after, Happening::Told { boot: self.boot, message, statement });
    }

    fn send(&mut self, claim: Claim) {
        let clock = self.base + Span::from_millis(self.elapsed);
        let limit = claim.deadline.since(self.now());
        let Some(provider) = self.providers.get_mut(&claim.to.lane.channel) else { return };
        let handed = match &mut self.phones {
            Some(phones) => phones.hand(&claim, clock, limit),
            None => provider.hand(&claim, clock, limit),
        };
        let key = provider.card.duplicate_key;
        let channel = claim.to.lane.channel.clone();
        self.flying.insert((claim.message, claim.attempt), channel.clone());
        let (message, attempt) = (claim.message, claim.attempt);
        for (what, after) in &handed.receipts {
            let statement = Statement {
                key: Some(claim.key.clone()),
                provider_id: None,
                channel: channel.clone(),
                what: *what,
                code: None,
                at: self.truth() + *after,
            };
            self.later(*after, Happening::Receipt { statement, tries: 20 });
        }
        let came = Happening::Came { boot: self.boot, message, attempt, outcome: handed.outcome };
        self.later(handed.after, came);
        self.note(What::Sent { claim: Arc::new(claim), key, seen: handed.seen, taken: handed.taken });
    }

    fn verify(&mut self) {
        match wait(self.store.verify(&DESK.into())) {
            Ok(verified) if verified.mismatch.is_none() => {}
            other => self.fail("I43", format!("the audit does not verify: {other:?}")),
        }
    }

    /// What must hold of what is kept, and of all that happened.
    pub(in crate::sim) fn rest(&mut self) {
        // What was changed while no process was there is known to nobody: the next one takes it up as it comes.
        if self.desk.is_none() && !self.broken {
            self.death = None;
            self.up();
            self.close_turn();
        }
        self.verify();
        let empty = crate::sim::kept::Commit::default();
        let step = Step {
            at: self.now(),
            commit: &empty,
            kept: &self.kept,
            setup: &self.setup,
            sources: &self.sources,
            policy: &self.land.policy,
            room: &self.room(),
        };
        let event = self.trace.events.len().saturating_sub(1);
        invariants::rest(&step, event, &mut self.found);
        let secrets: Vec<String> = self.land.addresses().map(str::to_owned).collect();
        invariants::trace(&self.trace, &secrets, &mut self.found);
        let Some(phones) = &self.phones else { return };
        phones.strikes(&self.trace, &mut self.found);
        let gathered = busy::urgent(&self.trace, &mut self.found);
        self.said(format!("{gathered} urgent notices waited for the next message to somebody told lately"));
    }
}
