use super::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// An authority, or a server's certificate.
struct Made {
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn made(name: &str, by: Option<&Made>, change: impl FnOnce(&mut CertificateParams)) -> Made {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = match by {
        None => params.self_signed(&key),
        Some(by) => params.signed_by(&key, &by.issuer),
    };
    Made {
        der: certificate.unwrap().der().clone(),
        issuer: Issuer::new(params, key),
    }
}

fn authority(name: &str, by: Option<&Made>) -> Made {
    made(name, by, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    })
}

/// Root, intermediate and server.
fn chain() -> [Made; 3] {
    let root = authority("Root", None);
    let intermediate = authority("Intermediate", Some(&root));
    let server = made("server", Some(&intermediate), |params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName(
            "bot.example.com".try_into().unwrap(),
        )];
    });
    [root, intermediate, server]
}

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn wrongs(chain: &[&Made], roots: &[&Made]) -> Vec<String> {
    let of = |list: &[&Made]| list.iter().map(|made| made.der.clone()).collect::<Vec<_>>();
    let seen = look_over(&of(chain), &of(roots), NOW).unwrap();
    let wrong = seen.wrong.into_iter();
    wrong
        .map(|wrong| format!("{}: {}", wrong.severity.word(), wrong.what))
        .collect()
}

#[track_caller]
fn only(wrong: &[String], words: &str) {
    match wrong {
        [only] => assert!(only.contains(words), "{only}"),
        several => panic!("{several:?}"),
    }
}

#[test]
fn a_full_chain_to_a_known_root_is_good_with_and_without_the_root_in_it() {
    let [root, intermediate, server] = chain();
    assert!(wrongs(&[&server, &intermediate], &[&root]).is_empty());
    assert!(wrongs(&[&server, &intermediate, &root], &[&root]).is_empty());
    let direct = made("direct", Some(&root), |_| {});
    assert!(wrongs(&[&direct], &[&root]).is_empty());
}

#[test]
fn a_missing_intermediate_is_named() {
    let [root, intermediate, server] = chain();
    let wrong = wrongs(&[&server], &[&root]);
    only(
        &wrong,
        "error: misses an intermediate: CN=server is signed by CN=Intermediate,",
    );
    // One of two is as bad as none.
    let lower = authority("Lower", Some(&intermediate));
    let server = made("server", Some(&lower), |_| {});
    only(
        &wrongs(&[&server, &lower], &[&root]),
        "misses an intermediate: CN=Lower is signed by CN=Intermediate,",
    );
}

#[test]
fn a_private_authority_is_told_from_a_missing_intermediate() {
    let [root, intermediate, server] = chain();
    let other = authority("Public Root", None);
    only(
        &wrongs(&[&server, &intermediate, &root], &[&other]),
        "leads to CN=Root, which is in the file but not among this machine's 1 roots: a private authority",
    );
}

#[test]
fn a_root_of_the_same_name_is_no_root() {
    let [_, intermediate, server] = chain();
    let other = authority("Root", None);
    only(
        &wrongs(&[&server, &intermediate], &[&other]),
        "leads to CN=Root, a root, but cannot be verified",
    );
}

#[test]
fn what_is_self_signed_is_called_so() {
    let alone = made("server", None, |_| {});
    let root = authority("Root", None);
    only(
        &wrongs(&[&alone], &[&root]),
        "CN=server, which is self-signed",
    );
}

#[test]
fn a_chain_in_the_wrong_order_is_a_warning() {
    let root = authority("Root", None);
    let upper = authority("Upper", Some(&root));
    let lower = authority("Lower", Some(&upper));
    let server = made("server", Some(&lower), |_| {});
    only(
        &wrongs(&[&server, &upper, &lower], &[&root]),
        "warning: is in the wrong order: CN=server is followed by CN=Upper, which did not sign it",
    );
}

#[test]
fn what_is_out_of_date_is_named_wherever_it_stands() {
    let root = authority("Root", None);
    let old = made("Old", Some(&root), |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let server = made("server", Some(&old), |_| {});
    only(
        &wrongs(&[&server, &old], &[&root]),
        "holds CN=Old, which is valid from",
    );
    let early = made("early", Some(&root), |params| {
        params.not_before = date_time_ymd(2090, 1, 1);
        params.not_after = date_time_ymd(2091, 1, 1);
    });
    only(
        &wrongs(&[&early], &[&root]),
        "holds CN=early, which is valid from Jan  1 00:00:00 2090",
    );
}
