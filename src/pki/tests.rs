use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::*;

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn request(usage: Usage) -> LeafRequest {
    LeafRequest {
        common_name: "kubernetes-admin".into(),
        organizations: vec!["system:masters".into(), "developers".into()],
        dns_names: vec!["kubernetes.default.svc".into()],
        addresses: vec!["10.1.2.3".parse().unwrap(), "::1".parse().unwrap()],
        usage,
        validity: Duration::from_secs(3600),
    }
}

fn verify_as_server(authority: &str, leaf: &str, name: &str) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(der(authority)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
    verifier
        .build()
        .unwrap()
        .verify_server_cert(
            &der(leaf),
            &[],
            &ServerName::try_from(name).unwrap(),
            &[],
            UnixTime::now(),
        )
        .map(|_| ())
}

fn verify_as_client(authority: &str, leaf: &str) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(der(authority)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .unwrap()
        .verify_client_cert(&der(leaf), &[], UnixTime::now())
        .map(|_| ())
}

/// Checks keys, chain and reading back for one algorithm.
fn check(algorithm: KeyAlgorithm, label: &str) {
    let authority = CertificateAuthority::generate("kubernetes", algorithm).unwrap();
    assert!(authority.key_pem().starts_with(&format!("-----BEGIN {label}-----\n")));
    let again =
        CertificateAuthority::from_pem(authority.certificate_pem(), authority.key_pem()).unwrap();
    for signer in [&authority, &again] {
        let leaf = signer.issue(&request(Usage::Server), KeyAlgorithm::EcdsaP256).unwrap();
        for name in ["kubernetes.default.svc", "10.1.2.3", "::1"] {
            verify_as_server(authority.certificate_pem(), &leaf.certificate_pem, name).unwrap();
        }
        verify_as_server(authority.certificate_pem(), &leaf.certificate_pem, "other").unwrap_err();
        verify_as_client(authority.certificate_pem(), &leaf.certificate_pem).unwrap_err();
    }
    let leaf = again.issue(&request(Usage::Client), algorithm).unwrap();
    verify_as_client(authority.certificate_pem(), &leaf.certificate_pem).unwrap();
    // rustls takes the key, and it is the certificate's.
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    rustls::sign::CertifiedKey::from_der(vec![der(&leaf.certificate_pem)], key, &provider)
        .unwrap()
        .keys_match()
        .unwrap();
}

#[test]
fn ecdsa_p256_chains_verify() {
    check(KeyAlgorithm::EcdsaP256, "EC PRIVATE KEY");
}

#[test]
fn ecdsa_p384_chains_verify() {
    check(KeyAlgorithm::EcdsaP384, "EC PRIVATE KEY");
}

#[test]
fn rsa_chains_verify() {
    check(KeyAlgorithm::Rsa2048, "RSA PRIVATE KEY");
}

#[test]
fn leaf_says_what_was_requested() {
    let authority = CertificateAuthority::generate("kubernetes", KeyAlgorithm::EcdsaP256).unwrap();
    let leaf = authority.issue(&request(Usage::ServerAndClient), KeyAlgorithm::EcdsaP256).unwrap();
    let bytes = der(&leaf.certificate_pem);
    let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();
    let subject = certificate.subject();
    let names = |attributes: Vec<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
        attributes.iter().map(|a| a.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(subject.iter_common_name().collect()), ["kubernetes-admin"]);
    assert_eq!(names(subject.iter_organization().collect()), ["system:masters", "developers"]);
    let sans = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert!(sans.contains(&GeneralName::DNSName("kubernetes.default.svc")));
    assert!(sans.contains(&GeneralName::IPAddress(&[10, 1, 2, 3])));
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth);
    let lifetime = certificate.validity().not_after.timestamp()
        - certificate.validity().not_before.timestamp();
    assert_eq!(lifetime, 3600 + 300);
    assert!(!certificate.is_ca());
}

#[test]
fn authority_lasts_ten_years_and_may_sign() {
    let authority = CertificateAuthority::generate("kubernetes", KeyAlgorithm::EcdsaP256).unwrap();
    let bytes = der(authority.certificate_pem());
    let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && usage.key_encipherment() && usage.key_cert_sign());
    let lifetime = certificate.validity().not_after.timestamp()
        - certificate.validity().not_before.timestamp();
    assert_eq!(lifetime, 3650 * 24 * 3600 + 300);
    certificate.verify_signature(None).unwrap();
}

#[test]
fn one_key_gets_certificates_with_different_serials() {
    let authority = CertificateAuthority::generate("kubernetes", KeyAlgorithm::EcdsaP256).unwrap();
    let key = generate_key_pem(KeyAlgorithm::EcdsaP256).unwrap();
    let serial = |leaf: CertifiedKey| {
        assert_eq!(leaf.key_pem, key);
        let bytes = der(&leaf.certificate_pem);
        X509Certificate::from_der(&bytes).unwrap().1.raw_serial().to_vec()
    };
    let one = authority.issue_for_key(&request(Usage::Server), &key).unwrap();
    let two = authority.issue_for_key(&request(Usage::Server), &key).unwrap();
    assert_ne!(serial(one), serial(two));
}

#[test]
fn authority_from_pkcs8_works_and_foreign_keys_are_refused() {
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&pair).unwrap().pem();
    let authority = CertificateAuthority::from_pem(&certificate, &pair.serialize_pem()).unwrap();
    let leaf = authority.issue(&request(Usage::Client), KeyAlgorithm::EcdsaP256).unwrap();
    verify_as_client(&certificate, &leaf.certificate_pem).unwrap();

    let other = generate_key_pem(KeyAlgorithm::EcdsaP256).unwrap();
    assert!(CertificateAuthority::from_pem(&certificate, &other).is_err());
    assert!(CertificateAuthority::from_pem("nonsense", &other).is_err());
    assert!(CertificateAuthority::from_pem(&leaf.certificate_pem, &leaf.key_pem).is_err());
}

#[test]
fn service_account_keys_are_a_pair() {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048] {
        let keys = ServiceAccountKeys::generate(algorithm).unwrap();
        let private = key::parse(&keys.private_pem).unwrap();
        assert_eq!(keys.public_pem, private.public_key_pem());
        assert!(keys.public_pem.starts_with("-----BEGIN PUBLIC KEY-----\n"));
    }
}

#[test]
fn kubeconfig_reads_back() {
    let client = CertifiedKey { certificate_pem: "CERT".into(), key_pem: "KEY".into() };
    let yaml = Kubeconfig {
        cluster: "yes",
        user: "a: b #",
        context: "admin@c1",
        server: "https://127.0.0.1:6443",
        certificate_authority_pem: "CA",
        client: &client,
    }
    .to_yaml();
    let value: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    let expected = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "yes", "cluster": {
            "certificate-authority-data": "Q0E=", "server": "https://127.0.0.1:6443"}}],
        "contexts": [{"name": "admin@c1", "context": {"cluster": "yes", "user": "a: b #"}}],
        "current-context": "admin@c1",
        "users": [{"name": "a: b #", "user": {
            "client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"}}],
    });
    assert_eq!(value, expected, "{yaml}");
}
