//! The crate `riak` 0.3.4 against every node of a cluster: its ports are the arguments.

use riak::Client;
use riak::bucket::BucketProps;
use riak::object::{DeleteObjectReq, FetchObjectReq, ObjectContent, StoreObjectReq};

fn main() {
    let ports: Vec<String> = std::env::args().skip(1).collect();
    for port in &ports {
        at(port);
    }
    println!("riak 0.3.4: {} nodes", ports.len());
}

fn at(port: &str) {
    let mut client = Client::new(format!("127.0.0.1:{port}").as_str()).expect("a connection");
    client.ping().expect("a pong");
    let (_, version) = client.server_info().expect("who it is");
    assert_eq!(version.split('.').count(), 3);

    let bucket = format!("rs-{}", std::process::id());
    let key = [b"key \0\xff ".as_slice(), port.as_bytes()].concat();
    let store = |client: &mut Client, key: &[u8], value: Vec<u8>| {
        let mut request = StoreObjectReq::new(bucket.as_str(), ObjectContent::new(value));
        request.set_key(key);
        client.store_object(request)
    };
    let fetch = |client: &mut Client, key: &[u8]| {
        let request = FetchObjectReq::new(bucket.as_bytes(), key);
        client.fetch_object(request).expect("a read").content
    };
    assert!(fetch(&mut client, &key).is_empty());
    store(&mut client, &key, b"tea".to_vec()).expect("a write");
    store(&mut client, &key, b"coffee".to_vec()).expect("a write over it");
    let contents = fetch(&mut client, &key);
    assert_eq!(contents.len(), 1);
    assert_eq!(contents[0].get_value(), b"coffee");
    let large = vec![7; 1 << 20];
    store(&mut client, b"large", large.clone()).expect("a mebibyte");
    assert_eq!(fetch(&mut client, b"large")[0].get_value(), &large[..]);
    let keys = client.list_keys(bucket.as_str()).expect("its keys");
    assert!(keys.contains(&key) && keys.contains(&b"large".to_vec()));
    let buckets = client.list_buckets().expect("the buckets");
    assert!(buckets.contains(&bucket.clone().into_bytes()));
    let preflist = client.fetch_preflist(bucket.clone().into_bytes(), key.clone());
    assert_eq!(preflist.expect("who is on duty").len(), 3);
    client
        .delete_object(DeleteObjectReq::new(bucket.clone().into_bytes(), key.clone()))
        .expect("a delete");
    assert!(fetch(&mut client, &key).is_empty());
    store(&mut client, &key, b"again".to_vec()).expect("a write after it");
    assert_eq!(fetch(&mut client, &key)[0].get_value(), b"again");

    let own = format!("{bucket}-{port}");
    let mut props = BucketProps::new(own.as_str());
    props.set_allow_mult(true);
    client.set_bucket_properties(props).expect("properties set");
    let props = client.get_bucket_properties(own.as_str()).expect("properties");
    assert_eq!((props.get_allow_mult(), props.get_n_val()), (Some(true), Some(3)));
    let mut wrong = FetchObjectReq::new(bucket.as_str(), "large");
    wrong.set_r(4);
    assert!(client.fetch_object(wrong).is_err());
}
