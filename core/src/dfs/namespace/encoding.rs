//! The namespace in a checkpoint.
//!
//! ```text
//!  namespace  [nodes, root, ops]
//!  nodes      [node or null, ...]                            the position is the handle
//!  entry      [0, id, name, unix_ms, [entry, ...]]           a directory, its entries by name
//!             [1, id, name, version, unix_ms, [chunk, ...]]  a file
//!  chunk      [id, generation, len, digest, [handle, ...]]
//!  ops        [[op, [index, why it was unfit, if it was]], ...]   the oldest first
//! ```
//!
//! The tree is written as a tree: a checkpoint cannot say that a directory is in itself, or that a
//! chunk has no file, and the lists of a directory are read in the order that they are kept in. What
//! follows from the rest (usage, counts of replicas, digests of files of several chunks) is not
//! written. Readers skip what stands behind the elements that they know; a kind of entry that they
//! do not know is an error.

use std::sync::Arc;

use minicbor::decode::{self, Decode, Decoder};
use minicbor::encode::{self, Encode, Encoder, Write};

use super::Namespace;
use super::blocks::Blocks;
use super::inode::{Chunk, Content, Directory, Inode, Replicas, sum};
use super::nodes::{Handle, NodeTable};
use super::ops::{OpRow, OpTable};
use crate::dfs::ask::Usage;
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkId, FileVersion, Generation, InodeId};
use crate::dfs::path::{self, DfsPath};
use crate::ids::NodeId;

const DIRECTORY: u8 = 0;
const FILE: u8 = 1;

impl<C> Encode<C> for Namespace {
    fn encode<W: Write>(
        &self,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        encoder.array(3)?;
        self.nodes.to_list().encode(encoder, context)?;
        self.encode_inode(InodeId::ROOT, encoder, context)?;
        let rows = self.ops.rows();
        encoder.array(rows.len() as u64)?;
        for row in rows {
            row.encode(encoder, context)?;
        }
        Ok(())
    }
}

impl Namespace {
    /// Recurs as deep as a path may be.
    fn encode_inode<C, W: Write>(
        &self,
        id: InodeId,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        let missing = || encode::Error::message("the namespace contradicts itself");
        let inode = self.inodes.get(&id).ok_or_else(missing)?;
        if let Some(directory) = inode.directory() {
            encoder.array(5)?.u8(DIRECTORY)?.u64(id.0)?;
            encoder.str(&inode.name)?.u64(inode.unix_ms)?;
            encoder.array(directory.children.len() as u64)?;
            for (_, child) in directory.children.iter() {
                self.encode_inode(*child, encoder, context)?;
            }
            return Ok(());
        }
        encoder.array(6)?.u8(FILE)?.u64(id.0)?;
        encoder.str(&inode.name)?.u64(inode.version.0)?;
        encoder.u64(inode.unix_ms)?;
        encoder.array(inode.content.chunk_count() as u64)?;
        for id in inode.content.chunks() {
            let chunk = self.chunks.get(&id).ok_or_else(missing)?;
            encoder.array(5)?.u64(id.0)?.u32(chunk.generation.0)?;
            encoder.u64(chunk.len)?.bytes(&chunk.digest.0)?;
            chunk.replicas.handles().encode(encoder, context)?;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Namespace {
    fn decode(decoder: &mut Decoder<'b>, context: &mut C) -> Result<Self, decode::Error> {
        let extra = elements(decoder, 3)?;
        let at = decoder.position();
        let nodes: Vec<Option<NodeId>> = decoder.decode_with(context)?;
        let nodes = NodeTable::from_list(&nodes).ok_or_else(|| wrong("nodes", at))?;
        let mut reader = Reader {
            nodes,
            inodes: Vec::new(),
            chunks: Vec::new(),
            handles: Vec::new(),
        };
        reader.root(decoder)?;
        let at = decoder.position();
        let rows: Vec<OpRow> = decoder.decode_with(context)?;
        let ops = OpTable::from_rows(rows).ok_or_else(|| wrong("operations", at))?;
        skip(decoder, extra)?;
        let Reader {
            nodes,
            inodes,
            chunks,
            ..
        } = reader;
        if nodes.iter().any(|(_, replicas)| replicas == 0) {
            return Err(wrong("a node without chunks", at));
        }
        Ok(Self {
            inodes: in_order(inodes).ok_or_else(|| wrong("an inode that is there twice", at))?,
            chunks: in_order(chunks).ok_or_else(|| wrong("a chunk that is there twice", at))?,
            nodes,
            ops,
        })
    }
}

/// Where in the tree a reader is.
#[derive(Clone, Copy)]
struct Place {
    parent: InodeId,
    /// Names in the directory's path, and bytes.
    depth: usize,
    len: usize,
}

/// An entry that has been read.
struct Read {
    id: InodeId,
    name: Arc<str>,
    usage: Usage,
}

/// What has been read of the tree, in no order.
struct Reader {
    nodes: NodeTable,
    inodes: Vec<(InodeId, Inode)>,
    chunks: Vec<(ChunkId, Chunk)>,
    /// Of the chunk that is being read.
    handles: Vec<Handle>,
}

impl Reader {
    fn root(&mut self, decoder: &mut Decoder<'_>) -> Result<(), decode::Error> {
        let at = decoder.position();
        let extra = elements(decoder, 5)?;
        let is_root = decoder.u8()? == DIRECTORY
            && decoder.u64()? == InodeId::ROOT.0
            && decoder.str()?.is_empty()
            && decoder.u64()? == 0;
        if !is_root {
            return Err(wrong("a root directory", at));
        }
        let place = Place {
            parent: InodeId::ROOT,
            depth: 0,
            len: 0,
        };
        let directory = self.children(decoder, place)?;
        self.inodes.push((InodeId::ROOT, super::root(directory)));
        skip(decoder, extra)
    }

    fn children(
        &mut self,
        decoder: &mut Decoder<'_>,
        place: Place,
    ) -> Result<Directory, decode::Error> {
        let mut directory = Directory::empty();
        for _ in 0..definite(decoder)? {
            let at = decoder.position();
            let Read { id, name, usage } = self.entry(decoder, place)?;
            directory.usage = sum(directory.usage, usage);
            if !directory.children.push(name, id) {
                return Err(wrong("names out of order", at));
            }
        }
        Ok(directory)
    }

    /// Recurs as deep as a path may be.
    fn entry(&mut self, decoder: &mut Decoder<'_>, place: Place) -> Result<Read, decode::Error> {
        let at = decoder.position();
        let count = definite(decoder)?;
        let kind = decoder.u8()?;
        let id = InodeId(decoder.u64()?);
        let name = decoder.str()?;
        path::check_name(name).map_err(|reason| decode::Error::message(reason).at(at))?;
        let here = Place {
            parent: id,
            depth: place.depth + 1,
            len: place.len + 1 + name.len(),
        };
        if here.depth > DfsPath::MAX_DEPTH || here.len > DfsPath::MAX_LEN {
            return Err(wrong("a path that is too long or too deep", at));
        }
        let name: Arc<str> = Arc::from(name);
        let (version, unix_ms, content, usage, known) = match kind {
            DIRECTORY => {
                let unix_ms = decoder.u64()?;
                let directory = Box::new(self.children(decoder, here)?);
                let usage = directory.usage;
                let content = Content::Directory(directory);
                (FileVersion(id.0), unix_ms, content, usage, 5)
            }
            FILE => {
                let version = FileVersion(decoder.u64()?);
                let unix_ms = decoder.u64()?;
                let (content, usage) = self.content(decoder, id)?;
                (version, unix_ms, content, usage, 6)
            }
            _ => return Err(wrong("an entry of a kind that is unknown", at)),
        };
        skip(decoder, surplus(count, known, at)?)?;
        let inode = Inode {
            parent: place.parent,
            name: name.clone(),
            version,
            unix_ms,
            content,
        };
        self.inodes.push((id, inode));
        Ok(Read { id, name, usage })
    }

    fn content(
        &mut self,
        decoder: &mut Decoder<'_>,
        file: InodeId,
    ) -> Result<(Content, Usage), decode::Error> {
        let at = decoder.position();
        let begin = self.chunks.len();
        let mut usage = Usage {
            files: 1,
            ..Usage::default()
        };
        for number in 0..definite(decoder)? {
            let number = u32::try_from(number).map_err(|_| wrong("too many chunks", at))?;
            let (id, chunk) = self.chunk(decoder, file, number)?;
            usage = sum(usage, chunk.usage());
            self.chunks.push((id, chunk));
        }
        let content = match self.chunks.get(begin..).unwrap_or_default() {
            [(chunk, _)] => Some(Content::OneChunk(*chunk)),
            chunks => {
                let parts: Vec<_> = chunks
                    .iter()
                    .map(|(id, chunk)| (*id, chunk.len, chunk.digest))
                    .collect();
                Content::of(&parts)
            }
        };
        let content = content.ok_or_else(|| wrong("more bytes than a file can have", at))?;
        Ok((content, usage))
    }

    fn chunk(
        &mut self,
        decoder: &mut Decoder<'_>,
        file: InodeId,
        number: u32,
    ) -> Result<(ChunkId, Chunk), decode::Error> {
        let at = decoder.position();
        let extra = elements(decoder, 5)?;
        let id = ChunkId(decoder.u64()?);
        let generation = Generation(decoder.u32()?);
        let len = decoder.u64()?;
        let digest = decoder.bytes()?;
        let digest = Digest(digest.try_into().map_err(|_| wrong("a digest", at))?);
        self.handles.clear();
        for _ in 0..definite(decoder)? {
            let handle: Handle = decoder.decode()?;
            if self.handles.contains(&handle) || !self.nodes.hold(handle) {
                return Err(wrong("a replica on no node, or on one twice", at));
            }
            self.handles.push(handle);
        }
        if self.handles.is_empty() {
            return Err(wrong("a chunk without replicas", at));
        }
        skip(decoder, extra)?;
        let chunk = Chunk {
            len,
            digest,
            file,
            generation,
            number,
            replicas: Replicas::new(&self.handles),
        };
        Ok((id, chunk))
    }
}

/// The ordered map of these entries; `None` if a key is there twice.
fn in_order<K: Ord + Copy, V>(mut entries: Vec<(K, V)>) -> Option<Blocks<K, V>> {
    entries.sort_unstable_by_key(|(key, _)| *key);
    let mut blocks = Blocks::default();
    for (key, value) in entries {
        if !blocks.push(key, value) {
            return None;
        }
    }
    Some(blocks)
}

/// Begins an array of at least `known` elements; returns how many more there are.
fn elements(decoder: &mut Decoder<'_>, known: u64) -> Result<u64, decode::Error> {
    let at = decoder.position();
    surplus(definite(decoder)?, known, at)
}

fn surplus(count: u64, known: u64, at: usize) -> Result<u64, decode::Error> {
    count
        .checked_sub(known)
        .ok_or_else(|| wrong("too few elements", at))
}

fn definite(decoder: &mut Decoder<'_>) -> Result<u64, decode::Error> {
    let at = decoder.position();
    decoder
        .array()?
        .ok_or_else(|| wrong("an array without a length", at))
}

fn skip(decoder: &mut Decoder<'_>, elements: u64) -> Result<(), decode::Error> {
    (0..elements).try_for_each(|_| decoder.skip())
}

fn wrong(what: &'static str, at: usize) -> decode::Error {
    decode::Error::message(format!("the namespace has {what} that cannot be")).at(at)
}
