use super::*;

fn words(text: &str) -> Vec<OsString> {
    text.split_whitespace().map(OsString::from).collect()
}

fn parsed(text: &str) -> Vec<Directive> {
    parse(&words(text)).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn wrong(text: &str) -> String {
    parse(&words(text)).expect_err(text).to_string()
}

fn set(signals: &[Signal]) -> SignalSet {
    signals.iter().copied().fold(SignalSet::default(), SignalSet::with)
}

#[test]
fn a_block_holds_the_arguments_up_to_its_own_brace() {
    let inner = words("orphan*2{ session{ hold } say={ } ready");
    assert_eq!(
        parsed("group{ orphan*2{ session{ hold } say={ } ready } child{ } exit=3"),
        [
            Directive::Start { form: Form::Group, count: 1, inner: inner.clone() },
            Directive::Start { form: Form::Child, count: 1, inner: Vec::new() },
            Directive::Exit(3),
        ]
    );
    assert_eq!(
        parse(&inner).expect("it was parsed as part of the whole"),
        [
            Directive::Start { form: Form::Orphan, count: 2, inner: words("session{ hold } say={") },
            Directive::Ready
        ]
    );
}

#[test]
fn a_count_is_a_number_of_processes() {
    for (word, form, count) in [
        ("child*1000{", Form::Child, 1000),
        ("group*0{", Form::Group, 0),
        ("session*1{", Form::Session, 1),
        ("orphan*20{", Form::Orphan, 20),
        ("daemon{", Form::Daemon, 1),
        ("bomb*99{", Form::Bomb, 99),
    ] {
        assert_eq!(parsed(&format!("{word} }}")), [Directive::Start { form, count, inner: Vec::new() }]);
    }
    for word in ["child*{", "child*-1{", "child*x{", "childs{", "{", "child*1*1{"] {
        assert!(wrong(&format!("{word} }}")).contains(&format!("wrong directive {word:?}")));
    }
}

#[test]
fn the_message_names_the_directive_and_the_fault() {
    for (text, message) in [
        ("ready hodl", r#"wrong directive "hodl": there is none of this name that takes no value"#),
        ("ready=1", r#"wrong directive "ready=1": there is none of this name that takes a value"#),
        ("child{ ready", r#"wrong directive "child{": no } closes it"#),
        ("child{ ready } }", r#"wrong directive "}": it closes nothing"#),
        ("child{ group{ exit=x } }", r#"wrong directive "exit=x": "x": invalid digit found in string"#),
        ("block=TERM,KILL", r#"wrong directive "block=TERM,KILL": no process can change what KILL does"#),
        ("catch=SEGV", r#"wrong directive "catch=SEGV": SEGV cannot be caught here"#),
        ("catch=33", r#"wrong directive "catch=33": 33 cannot be caught here"#),
        ("once=TERM", r#"wrong directive "once=TERM": it takes a delay: once=SIG:DELAY"#),
    ] {
        assert_eq!(wrong(text), message);
    }
    for text in
        ["ignore=", "ignore=TERM,", "take=NONE", "catch=all", "exit=256", "sleep=3", "catch=TERM:", "die=65"]
    {
        assert!(wrong(text).contains(&format!("wrong directive {text:?}")));
    }
}

#[test]
fn a_reaction_has_a_delay_and_a_code() {
    let delay = Duration::from_millis(1500);
    let term = set(&[Signal::TERM]);
    for (text, signals, reaction) in [
        ("catch=TERM", term, Reaction::GoOn),
        ("catch=TERM,INT:1s500ms", set(&[Signal::TERM, Signal::INT]), Reaction::Finish { delay, code: 0 }),
        ("catch=SIGTERM:1500ms:7", term, Reaction::Finish { delay, code: 7 }),
        ("once=15:1500ms:255", term, Reaction::FinishOnce { delay, code: 255 }),
    ] {
        assert_eq!(parsed(text), [Directive::Catch(signals, reaction)]);
    }
}

#[test]
fn all_is_what_can_be_blocked() {
    let all = SignalSet::from_bits(!(Signal::KILL.bit() | Signal::STOP.bit()));
    assert_eq!(parsed("take=all block=all"), [Directive::Take(all), Directive::Block(all)]);
    assert_eq!(parsed("take=32,RTMAX"), [Directive::Take(SignalSet::from_bits(1 << 31 | 1 << 63))]);
}

#[test]
fn after_argv_nothing_is_a_directive() {
    assert_eq!(parsed("argv child{ } } ="), [Directive::Argv(words("child{ } } ="))]);
    assert_eq!(
        parsed("child{ argv x } ready"),
        [Directive::Start { form: Form::Child, count: 1, inner: words("argv x") }, Directive::Ready]
    );
}

#[test]
fn a_text_need_not_be_utf8_but_a_name_must() {
    let bytes = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    assert_eq!(parse(&[bytes(b"say=a=\xff")]), Ok(vec![Directive::Say(bytes(b"a=\xff"))]));
    assert!(parse(&[bytes(b"s\xffy=a")]).is_err() && parse(&[bytes(b"exit=\xff")]).is_err());
}
