//! Headers as proxies write them, and everything that is nearly one.

use super::*;

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    let fixed = [command, family, length[0], length[1]];
    [SIGNATURE_OF_V2, &fixed, block].concat()
}

fn ipv4_block() -> Vec<u8> {
    [
        &[192, 0, 2, 1][..],
        &[198, 51, 100, 2],
        &56324_u16.to_be_bytes(),
        &443_u16.to_be_bytes(),
    ]
    .concat()
}

fn ipv6_block() -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    [
        &address("2001:db8::1")[..],
        &address("2001:db8::2"),
        &56324_u16.to_be_bytes(),
        &443_u16.to_be_bytes(),
    ]
    .concat()
}

/// Whole headers, and the client that they name.
fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let text = |line: &str| format!("{line}\r\n").into_bytes();
    let longest = "TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535";
    let address = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let longest = longest.replace("ffff:f...f:ffff", address);
    let tlv = [ipv4_block(), vec![0x04, 0, 3, 0, 0, 0]].concat();
    vec![
        (
            text("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443"),
            Some("192.0.2.1:56324"),
        ),
        (
            text("PROXY TCP4 255.255.255.255 0.0.0.0 0 65535"),
            Some("255.255.255.255:0"),
        ),
        (
            text("PROXY TCP6 2001:db8::1 2001:db8::2 56324 443"),
            Some("[2001:db8::1]:56324"),
        ),
        (
            text(&format!("PROXY {longest}")),
            Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
        ),
        (text("PROXY UNKNOWN"), None),
        (text(&format!("PROXY UNKNOWN {}", &longest[5..])), None),
        (text("PROXY UNKNOWN whatever stands here"), None),
        (v2(0x21, 0x11, &ipv4_block()), Some("192.0.2.1:56324")),
        (v2(0x21, 0x11, &tlv), Some("192.0.2.1:56324")),
        (v2(0x21, 0x21, &ipv6_block()), Some("[2001:db8::1]:56324")),
        (v2(0x21, 0x00, &[]), None),
        (v2(0x21, 0x31, &[0; 216]), None),
        (v2(0x20, 0x00, &[]), None),
        (v2(0x20, 0x11, &ipv4_block()), None),
        (v2(0x20, 0xff, &[1, 2, 3]), None),
        (v2(0x21, 0x00, &vec![0; MAX_V2 - FIXED_OF_V2]), None),
    ]
}

#[test]
fn whole_headers_name_their_client_whatever_follows_them() {
    for (header, client) in good() {
        let done = Ok(Progress::Done {
            client: client.map(|client| client.parse().unwrap()),
            length: header.len(),
        });
        assert_eq!(read(&header), done, "{}", header.escape_ascii());
        for behind in [&b"\x16\x03\x01"[..], b"\r\n", b"PROXY UNKNOWN\r\n", b" "] {
            let all = [&header, behind].concat();
            assert_eq!(read(&all), done, "{}", all.escape_ascii());
        }
    }
}

#[test]
fn a_header_that_comes_in_pieces_is_never_read_beyond_its_end() {
    for (header, _) in good() {
        for there in 0..header.len() {
            let so_far = &header[..there];
            match read(so_far) {
                Ok(Progress::More(more)) => assert!(
                    more > 0 && there + more <= header.len(),
                    "{more} more of {}",
                    so_far.escape_ascii()
                ),
                other => panic!("{other:?} for {}", so_far.escape_ascii()),
            }
        }
    }
}

#[test]
fn what_begins_like_no_header_is_none() {
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"POST / HTTP/1.1\r\n",
        b"proxy TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
        b" PROXY UNKNOWN\r\n",
        b"PROXYTCP4",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"\r\n\r\nPROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"\0",
    ] {
        assert_eq!(read(bytes), Err(Flaw::Missing), "{}", bytes.escape_ascii());
    }
}

#[test]
fn every_near_miss_of_version_1_is_malformed() {
    for line in [
        "",
        "TCP4",
        "TCP4 192.0.2.1 198.51.100.2 56324",
        "TCP4 192.0.2.1 198.51.100.2 56324 443 ",
        "TCP4 192.0.2.1 198.51.100.2 56324 443 1",
        "TCP4  192.0.2.1 198.51.100.2 56324 443",
        "TCP4\t192.0.2.1 198.51.100.2 56324 443",
        "TCP4 192.0.2.1 198.51.100.2 56324\r443",
        "TCP4 192.0.2.01 198.51.100.2 56324 443",
        "TCP4 192.0.2 198.51.100.2 56324 443",
        "TCP4 192.0.2.256 198.51.100.2 56324 443",
        "TCP4 2001:db8::1 2001:db8::2 56324 443",
        "TCP6 192.0.2.1 198.51.100.2 56324 443",
        "TCP6 2001:db8::1 198.51.100.2 56324 443",
        "TCP6 [2001:db8::1] 2001:db8::2 56324 443",
        "TCP6 fe80::1%eth0 2001:db8::2 56324 443",
        "TCP4 192.0.2.1 198.51.100.2 65536 443",
        "TCP4 192.0.2.1 198.51.100.2 -1 443",
        "TCP4 192.0.2.1 198.51.100.2 +1 443",
        "TCP4 192.0.2.1 198.51.100.2 01 443",
        "TCP4 192.0.2.1 198.51.100.2 1 0443",
        "TCP4 192.0.2.1 198.51.100.2 1 ",
        "tcp4 192.0.2.1 198.51.100.2 56324 443",
        "TCP5 192.0.2.1 198.51.100.2 56324 443",
        "UDP4 192.0.2.1 198.51.100.2 56324 443",
        "UNKNOWNS",
        "unknown",
        "TCP4 client.example server.example 1 2",
    ] {
        let line = format!("PROXY {line}\r\n");
        assert_eq!(read(line.as_bytes()), Err(Flaw::Malformed), "{line:?}");
    }
    let no_text = b"PROXY UNKNOWN \xff\r\n";
    assert_eq!(read(no_text), Err(Flaw::Malformed));
    // A bare line feed ends no line.
    let bare = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n";
    assert_eq!(read(bare), Ok(Progress::More(2)));
}

#[test]
fn every_near_miss_of_version_2_is_malformed() {
    let (ipv4, ipv6) = (ipv4_block(), ipv6_block());
    for header in [
        v2(0x11, 0x11, &ipv4),
        v2(0x01, 0x11, &ipv4),
        v2(0x22, 0x11, &ipv4),
        v2(0x2f, 0x11, &ipv4),
        v2(0x31, 0x11, &ipv4),
        v2(0x21, 0x10, &ipv4),
        v2(0x21, 0x12, &ipv4),
        v2(0x21, 0x22, &ipv6),
        v2(0x21, 0x32, &[0; 216]),
        v2(0x21, 0x41, &ipv6),
        v2(0x21, 0x01, &ipv4),
        v2(0x21, 0x11, &ipv4[..11]),
        v2(0x21, 0x11, &[]),
        v2(0x21, 0x21, &ipv6[..35]),
        v2(0x21, 0x21, &ipv4),
    ] {
        let shown = header.escape_ascii();
        assert_eq!(read(&header), Err(Flaw::Malformed), "{shown}");
    }
    // Which version and command, is known before its length.
    let early = [SIGNATURE_OF_V2, &[0x11]].concat();
    assert_eq!(read(&early), Err(Flaw::Malformed));
}

#[test]
fn headers_are_bounded() {
    let endless = [b"PROXY UNKNOWN ".to_vec(), vec![b'a'; 200]].concat();
    assert_eq!(read(&endless), Err(Flaw::TooLong));
    assert_eq!(read(&endless[..MAX_V1]), Err(Flaw::TooLong));
    assert_eq!(read(&endless[..MAX_V1 - 2]), Ok(Progress::More(2)));
    let length_only = [SIGNATURE_OF_V2, &[0x21, 0x11, 0xff, 0xff]].concat();
    assert_eq!(read(&length_only), Err(Flaw::TooLong));
    let one_more = u16::try_from(MAX_V2 - FIXED_OF_V2 + 1).unwrap();
    let [high, low] = one_more.to_be_bytes();
    let one_more = [SIGNATURE_OF_V2, &[0x20, 0, high, low]].concat();
    assert_eq!(read(&one_more), Err(Flaw::TooLong));
}
